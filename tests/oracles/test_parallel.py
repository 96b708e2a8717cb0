"""Several processes at one ladder: what comes of it does not depend on their number."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("shared_climb.py")


def climbed(folder: Path, processes: int, state: str | None = None) -> dict[str, bytes]:
    out = folder / f"out{processes}{state or ''}"
    environment = {**os.environ, "PIXELPRUNE_PROCESSES": str(processes), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, str(SCRIPT), str(folder / (state or f"state{processes}")), str(out)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (out / "processes").read_text() == str(processes)
    return {name: (out / name).read_bytes() for name in ("rows.csv", "examples.npy")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("alone")
    return folder, climbed(folder, 1)


@pytest.mark.parametrize("processes", [2, 3])
def test_two_or_three_processes_give_the_bytes_of_one(alone, processes: int, tmp_path: Path) -> None:
    assert climbed(tmp_path, processes) == alone[1]


def test_what_one_process_left_behind_two_go_on_with(alone, tmp_path: Path) -> None:
    """Two parts of six are there; their files are not written again."""
    folder, whole = alone
    (tmp_path / "left").mkdir()
    kept = sorted((folder / "state1").iterdir())[:2]
    for file in kept:
        (tmp_path / "left" / file.name).write_bytes(file.read_bytes())
    times = {file.name: (tmp_path / "left" / file.name).stat().st_mtime_ns for file in kept}
    assert climbed(tmp_path, 2, "left") == whole
    assert {name: (tmp_path / "left" / name).stat().st_mtime_ns for name in times} == times
    assert len(list((tmp_path / "left").iterdir())) == 6
