"""One attack of ours beside one of a peer: time, accuracy, passes, and the images on which they disagree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common import models, passes, peers, results, rows, timing
from common.models import Subject
from pixelprune import runtime
from pixelprune.attacks.attack import Attack
from pixelprune.attacks.balls import Ball, LinfBall
from pixelprune.attacks.narrowing import Budget
from pixelprune.draws import Draws
from pixelprune.errors import ArtifactError
from pixelprune.harness import ladder

LINF = LinfBall(eps=8 / 255)
TIMED = 64
"""Images of a timed run, the first ones."""


@dataclass(frozen=True)
class Case:
    model: str
    ours: Attack
    peer: peers.Peer
    ball: Ball = LINF
    images: int | None = None
    """Of which accuracies are taken; all that the model has where left out."""
    timed: bool = True
    """False where turns with the peer take too long: its time is then that of its rows, under another load."""


def run(subject: str, cases: Sequence[Case], model: str = "") -> None:
    """Compares every case whose weights and rows are there, and replaces the subject's entries of the results.

    model: only the cases and entries of this one.
    """
    run_together({subject: cases}, model)


def run_together(subjects: Mapping[str, Sequence[Case]], model: str = "") -> None:
    """As `run`, and a peer that several subjects time on the same images has its turns once for all of them."""
    runtime.prepare()
    chosen = models.chosen(model, [case.model for cases in subjects.values() for case in cases])
    subjects = {name: [case for case in cases if case.model in chosen] for name, cases in subjects.items()}
    turns, missing = Turns(subjects), []
    for subject, cases in subjects.items():
        entries = []
        for case in cases:
            entries.append(_absent(subject, case) or _compare(subject, case, turns))
            print(_line(entries[-1]), flush=True)
        try:
            results.replace(subject, entries, model)
        except ArtifactError as error:
            missing.append(str(error))
    if missing:
        raise ArtifactError("\n".join(missing))


def _absent(subject: str, case: Case) -> results.Entry | None:
    """An entry that says what is missing; None where everything is there."""
    common = {"subject": subject, "model": case.model, "peer": case.peer.name, "norm": case.ball.norm}
    if not models.is_there(case.model):
        return results.not_run(results.NO_WEIGHTS, **common)
    problem = peers.problem(case.peer)
    return results.not_run(problem, **common) if problem else None


def _compare(subject: str, case: Case, turns: "Turns") -> results.Entry:
    model = models.load(case.model).part(slice(case.images))
    found = rows.finished(model, case.peer, case.ball)
    theirs = rows.totals(found) if len(found) == len(model) else None
    stands, spent, seconds = measure(model, case)
    times: dict[str, Any]
    if case.timed:
        times = dict(turns.of(subject, case, model.part(slice(TIMED))))
    else:
        times = {"ours": seconds, "peer": theirs.seconds if theirs else None, "floor": _floor(model, spent)}
    values: dict[str, Any] = {
        "subject": subject, "model": case.model, "peer": case.peer.name, "norm": case.ball.norm, "n": len(model),
        "ours_s": times["ours"], "peer_s": times["peer"],
        "ratio": times["peer"] / times["ours"] if case.timed else None,
        "ours_robust": len(stands) / len(model), "ours_passes": int((spent.forward + spent.backward).sum()),
        "floor_share": times["floor"] / times["ours"], "machine": timing.machine(),
        "weights": model.digest[:8],
        "passes": {"ours": {"forward": int(spent.forward.sum()), "backward": int(spent.backward.sum())}},
    }  # fmt: skip
    if theirs is None:
        values["note"] = f"{len(found)} of {len(model)} of the peer's rows are there: python benchmarks/peers.py"
        return results.entry(**values)
    values |= {"peer_robust": theirs.robust, "peer_passes": theirs.forward + theirs.backward, "peer": theirs.peer}
    values["passes"]["peer"] = {"forward": theirs.forward, "backward": theirs.backward}
    apart = {
        "only ours breaks": sorted(theirs.standing - stands), "only the peer breaks": sorted(stands - theirs.standing)
    }  # fmt: skip
    values["disagree"] = {who: ids for who, ids in apart.items() if ids}
    if not case.timed:
        values["note"] = f"no turns: times of one run each on {len(model)} images, the peer's when its rows were made"
    return results.entry(**values)


def measure(model: Subject, case: Case) -> tuple[set[int], Budget, float]:
    """Our attack on all images once: ids of those that stand, passes, seconds."""
    points, spent, seconds = ours(model, case.ours, case.ball)
    passes.assert_inside(points, model.images, case.ball, model.mask, "ours")
    stands = rows.right(model.original, model.images, model.labels) & rows.right(model.original, points, model.labels)
    return set(np.asarray(model.ids)[stands.numpy()].tolist()), spent, seconds


def ours(model: Subject, attack: Attack, ball: Ball) -> tuple[Tensor, Budget, float]:
    """As harness.ladder calls an attack: in chunks, counted, on a quick copy. Its images, passes, seconds."""
    spent, found = Budget(len(model)), []
    with timing.stopwatch() as watch:
        access = model.access
        for index in ladder.chunks(model.images):
            draws = Draws.of(model.ids[index.numpy()], peers.SEED, attack.name, device=index.device)
            images, labels = model.images[index], model.labels[index]
            found.append(ladder.attacked(
                attack, access, index, images, labels, ball=ball, draws=draws, spent=spent
            )[0])  # fmt: skip
    return torch.cat(found), spent, watch.seconds


class Turns:
    """Times of our attacks and of a peer that take turns on the same images."""

    def __init__(self, subjects: Mapping[str, Sequence[Case]]) -> None:
        self._cases: dict[tuple[str, str, Ball], dict[str, Case]] = {}
        for subject, cases in subjects.items():
            for case in cases:
                if case.timed:
                    self._cases.setdefault(_contest(case), {})[subject] = case
        self._seconds: dict[tuple[str, str, Ball], dict[str, dict[str, float]]] = {}

    def of(self, subject: str, case: Case, few: Subject) -> dict[str, float]:
        """Median seconds of `ours`, of the `peer`, and of our `floor`, which is measured between their turns."""
        contest = _contest(case)
        if contest not in self._seconds:
            self._seconds[contest] = _take_turns(few, self._cases[contest])
        return self._seconds[contest][subject]


def _contest(case: Case) -> tuple[str, str, Ball]:
    return case.model, case.peer.name, case.ball


def _take_turns(few: Subject, cases: Mapping[str, Case]) -> dict[str, dict[str, float]]:
    for model in (few.original, few.access.quick or few.network):  # no pass that is timed is the first of its model
        points = few.images.clone().requires_grad_()
        torch.autograd.grad(model(points).sum(), points)
    budgets: dict[str, Budget] = {}
    floors: dict[str, list[float]] = {subject: [] for subject in cases}
    peer, *_ = cases.values()

    def one_of_ours(subject: str) -> None:
        budgets[subject] = ours(few, cases[subject].ours, cases[subject].ball)[1]

    def floor() -> None:
        for subject, values in floors.items():
            values.append(_floor(few, budgets[subject]))

    found = timing.alternate({
        **{subject: partial(one_of_ours, subject) for subject in cases},
        "peer": lambda: rows.attack(few.original, peer.peer, few.images, few.labels, peer.ball),
        "floor": floor,
    })  # fmt: skip
    return {
        subject: {"ours": found[subject], "peer": found["peer"], "floor": timing.median(floors[subject])}
        for subject in cases
    }


def _floor(model: Subject, spent: Budget) -> float:
    bare = timing.bare_passes(model.network, model.images)
    return timing.floor_seconds(int(spent.forward.sum()), int(spent.backward.sum()), bare)


def _line(entry: results.Entry) -> str:
    words = [f"{entry['subject']}, {entry['model']}, {entry['peer']}, {entry['norm']}:"]
    if entry["ratio"]:
        words.append(f"{entry['ours_s']} s and {entry['peer_s']} s, ratio {entry['ratio']};")
    if entry["ours_robust"] is not None:
        words.append(f"{entry['ours_robust']:.1%} and")
        words.append("?" if entry["peer_robust"] is None else f"{entry['peer_robust']:.1%}")
        words.append(f"stand; floor {entry['floor_share']:.0%}")
    return " ".join([*words, entry.get("note", "")])
