"""A small invented study, written once, and the report made from it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pixelprune.reporting import collect
from pixelprune.reporting.analysis import Analysis, analyze
from pixelprune.reporting.collect import Results, ThreatEntry
from pixelprune.reporting.write import write
from reporting import synthetic

LINEAGE = {
    "params": "dataset: {name: signs}\n",
    "params_hash": "0123456789abcdef",
    "inputs": {"results/none/natural/0": "md5 0123"},
    "versions": {"torch": "2.13.0"},
}
FEW = {key: synthetic.STRATEGIES[key] for key in ("none", "foreground", "shifted")}
ADVERSARIAL = {"adversarial": synthetic.TRAININGS["adversarial"]}

Study = Callable[..., Results]


def read(root: Path, **named: Any) -> Results:
    grid = {
        "strategies": synthetic.STRATEGIES,
        "trainings": synthetic.TRAININGS,
        "seeds": (0,),
        "threats": synthetic.THREATS,
        "ladder": synthetic.LADDER,
    }
    return collect.read(root, **(grid | named))


def with_second_threat(results: Results) -> Results:
    """The same attacks once more, as a threat `small` of the same norm at smaller radii."""
    small = ThreatEntry("small", "linf", synthetic.EPS[:2], synthetic.EPS[1])
    runs = {}
    for key, run in results.runs.items():
        again = run.rows[(run.rows["threat"] == "linf") & (run.rows["eps"] <= small.headline)]
        runs[key] = replace(run, rows=pd.concat([run.rows, again.assign(threat="small")], ignore_index=True))
    return replace(results, runs=runs, threats={**results.threats, "small": small})


def with_failed(results: Results, strategies: set[str]) -> Results:
    """A fatal check of every run of these strategies fails."""
    failed = [{"id": "E2", "title": "check E2", "found": "1", "threshold": "0", "severity": "F", "verdict": "fail"}]
    runs = {key: replace(run, checks=failed) if key[0] in strategies else run for key, run in results.runs.items()}
    return replace(results, runs=runs)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default grid with its report."""
    root = tmp_path_factory.mktemp("finished")
    synthetic.write(root, count=64, attacked=48)
    write(read(root), root / "report", root / "metrics", LINEAGE)
    return root


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Makes a study of three strategies under one training, as the words say."""

    def make(seeds: tuple[int, ...] = (0,), **named: Any) -> Results:
        grid = {"strategies": FEW, "trainings": ADVERSARIAL} | {
            key: named.pop(key) for key in ("strategies", "trainings") if key in named
        }
        synthetic.write(tmp_path, seeds=seeds, **grid, **named)
        return read(tmp_path, seeds=seeds, **grid)

    return make


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Analysis]:
    """Three strategies under one training, for what stands beside their results."""
    root = tmp_path_factory.mktemp("few")
    synthetic.write(root, strategies=FEW, trainings=ADVERSARIAL, count=32, attacked=24)
    results = read(root, strategies=FEW, trainings=ADVERSARIAL)
    return results, analyze(results, results.threats["linf"])
