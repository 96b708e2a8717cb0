"""A small invented study, written once, and the report made from it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixelprune.reporting import collect
from pixelprune.reporting.collect import Results
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
