"""Several processes at one stage: their number changes neither what an attack finds nor the gradient of a training."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pixelprune import artifacts

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def run(script: str, folder: Path, processes: int, state: str | None = None) -> Path:
    """The folder that the script, run by so many processes, wrote to."""
    out = folder / f"out{processes}{state or ''}"
    environment = {**os.environ, "PIXELPRUNE_PROCESSES": str(processes), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, str(HERE / script), str(folder / (state or f"state{processes}")), str(out)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (out / "processes").read_text() == str(processes)
    return out


def climbed(folder: Path, processes: int, state: str | None = None) -> dict[str, bytes]:
    out = run("shared_climb.py", folder, processes, state)
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


def test_two_processes_train_along_the_gradient_of_one(tmp_path: Path) -> None:
    weights, curves = [], []
    for processes in (1, 2):
        out = run("shared_training.py", tmp_path, processes)
        weights.append(artifacts.load_tensors(out / "last.safetensors"))
        curves.append(artifacts.load_json(out / "curve.json"))
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, atol=1e-5, rtol=1e-4)
    for one, other in zip(*curves, strict=True):
        assert other == pytest.approx(one, abs=1e-4)


@pytest.mark.parametrize(
    ("processes", "message"),
    [
        ("2", "data/pruned/none/card.json: no such file. Run `dvc repro`, or `dvc pull` to fetch it."),
        ("two", "PIXELPRUNE_PROCESSES: found 'two', expected how many processes share a stage: 1, 2, ..."),
        ("0", "PIXELPRUNE_PROCESSES: found '0', expected how many processes share a stage: 1, 2, ..."),
    ],
)
def test_a_mistake_is_one_message_from_all_processes(tmp_path: Path, processes: str, message: str) -> None:
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    done = subprocess.run(
        [sys.executable, str(ROOT / "stages/train.py"), "none", "natural", "0"], cwd=tmp_path, text=True,
        env={**os.environ, "PIXELPRUNE_PROCESSES": processes, "OMP_NUM_THREADS": "1"}, capture_output=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")


def test_a_process_that_is_killed_is_named(tmp_path: Path) -> None:
    """It had no time for a word, and the first one has none to say."""
    killing = "import os; os.kill(os.getpid(), 9 * parallel.rank()); time.sleep(60)"
    (tmp_path / "killed.py").write_text(SLEEPER.replace("time.sleep(300)", killing))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "killed.py")], text=True, capture_output=True,
        env={**os.environ, "PIXELPRUNE_PROCESSES": "2", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (137, "all here\n")
    told = "Only the first one speaks: PIXELPRUNE_PROCESSES=1 shows what went wrong."
    assert done.stderr == f"error: process 2 of 2 ended with status 137. {told}\n"


SLEEPER = """
import time
from pixelprune import cli, parallel

def main():
    parallel.start()
    parallel.wait()
    print("all here", flush=True)
    time.sleep(300)

cli.run(main, "")
"""


@pytest.mark.parametrize(
    ("number", "status", "said"), [(signal.SIGTERM, 143, ""), (signal.SIGINT, 130, "interrupted\n")]
)
def test_a_signal_ends_all_processes_without_a_trace(tmp_path: Path, number: int, status: int, said: str) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    environment = {**os.environ, "PIXELPRUNE_PROCESSES": "2", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, str(tmp_path / "sleeper.py")]
    with subprocess.Popen(words, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as stage:
        assert stage.stdout is not None
        assert stage.stdout.readline() == "all here\n"
        stage.send_signal(number)
        # Both ends of the pipes are closed only when the last of the processes is gone.
        assert stage.communicate(timeout=60) == ("", said)
    assert stage.returncode == status
