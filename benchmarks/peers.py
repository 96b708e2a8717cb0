"""Computes the peers' rows that are missing, the most valuable first. May be killed at any time and goes on there.

python benchmarks/peers.py [MODEL]    of this model alone
"""

from pathlib import Path

import aa_masked
import aa_standard_adversarial
import aa_standard_natural
import apgd_ce100
import fast_ensemble
import pgd20
import training
from common import models, peers, rows
from common.compare import Case

from pixelprune import cli, runtime


def main(model: str = "") -> None:
    runtime.prepare()
    chosen = models.chosen(model, models.RUNS)
    for case in cases():
        place = rows.path(case.peer, case.model, case.ball).name
        if case.model not in chosen:
            continue
        if not models.is_there(case.model):
            print(f"{place}: left out, no weights of {case.model} yet", flush=True)
            continue
        if (problem := peers.problem(case.peer)) is not None:
            print(f"{place}: left out, {problem}", flush=True)
            continue
        table = rows.compute(models.load(case.model), case.peer, case.ball, chunk=models.chunk_of(case.model))
        total = rows.totals(table)
        print(f"{place}: {total.images} images, {len(total.standing)} stand, {total.seconds:.0f} s", flush=True)
    if training.ACCURACY in chosen and training.is_there(training.ACCURACY):
        training.compute_rows()


def cases() -> list[Case]:
    """Every case whose peer needs rows, each table once."""
    subjects = (fast_ensemble, aa_standard_adversarial, aa_standard_natural, apgd_ce100, pgd20, aa_masked)
    own: dict[Path, Case] = {}
    for case in (case for subject in subjects for case in subject.CASES):
        own.setdefault(rows.path(case.peer, case.model, case.ball), case)
    return list(own.values())


if __name__ == "__main__":
    cli.run(main, __doc__)
