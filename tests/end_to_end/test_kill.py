"""Processes that die in the middle of their work: the next `dvc repro` ends with the bytes of an undisturbed run."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from end_to_end.clones import Clone, ran
from end_to_end.conftest import Built

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs signals")

PATIENCE = 1200
"""Seconds that anything may take here, on a machine that is busy with something else."""

WAITS = "another process is at this very work"

Hold = Callable[[Clone, str, str, Path], dict[str, str]]


@dataclass
class Killed:
    """A clone whose run was disturbed, and what each `dvc repro` said: the last one ends well."""

    clone: Clone
    outputs: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    left: list[list[str]] = field(default_factory=list)
    """Files in the output of the disturbed stage, right after it."""
    parts: list[dict[Path, int]] = field(default_factory=list)
    """Finished parts in the state folder, and when each was written."""


class Repro:
    """A running `dvc repro`. held: whether and as which process a stage has stopped where HOLD says."""

    def __init__(self, clone: Clone, log: Path, environment: dict[str, str]):
        self.log = log
        with log.open("w") as file:
            command = [sys.executable, "-m", "dvc", "repro"]
            self.process = subprocess.Popen(
                command, cwd=clone.root, env=clone.environment(**environment), stdin=subprocess.DEVNULL,
                stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def output(self) -> str:
        return self.log.read_text()

    def until(self, what: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not what():
            assert self.process.poll() is None, f"ended too early:\n{self.output}"
            assert time.monotonic() < end, f"waited in vain:\n{self.output}"
            time.sleep(0.05)

    def held(self, flags: Path) -> int:
        """The process of the held stage."""
        self.until(lambda: (flags / "held").exists() and (flags / "held").read_text() != "")
        return int((flags / "held").read_text())

    def end(self) -> int:
        return self.process.wait(PATIENCE)


def disturb(clone: Clone, folder: Path, hold: Hold) -> Killed:
    done = Killed(clone)

    def repro(script: str, text: str) -> tuple[Repro, Path]:
        """`dvc repro` that a stage holds up once it has printed the text."""
        flags = folder / f"flags{len(done.outputs)}"
        flags.mkdir()
        return Repro(clone, folder / f"{flags.name}.log", hold(clone, script, text, flags)), flags

    def note(run: Repro, out: str) -> None:
        done.statuses.append(run.end())
        done.outputs.append(run.output)
        done.left.append([str(path) for path in clone.root.glob(f"{out}/*")])
        state = clone.root / ".pixelprune/state"
        done.parts.append({path: path.stat().st_mtime_ns for path in state.glob("*/*.safetensors")})

    run, flags = repro("train.py none", "epoch 1/2")
    os.kill(run.held(flags), signal.SIGKILL)
    note(run, "models/none/natural/0")

    run, orphans = repro("train.py foreground", "epoch 1/2")
    orphan = run.held(orphans)
    run.process.kill()
    note(run, "models/foreground/natural/0")
    os.kill(orphan, 0)  # it lives

    run, flags = repro("attack.py foreground", "budget:")
    run.until(lambda: WAITS in run.output)
    (orphans / "release").touch()
    os.kill(run.held(flags), signal.SIGKILL)
    note(run, "results/foreground/natural/0")

    run, _ = repro("nothing", "nothing")
    note(run, "nothing")
    return done


@pytest.fixture(scope="module")
def killed(
    building: Future[Built], two_at_a_time: ThreadPoolExecutor, hold: Hold, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Killed]:
    folder = tmp_path_factory.mktemp("killed")

    def play() -> Killed:
        return disturb(Clone.make(folder / "clone"), folder, hold)

    yield two_at_a_time.submit(play).result()
    shutil.rmtree(folder)


def test_a_killed_stage_fails_and_leaves_no_half_output(killed):
    for number, stage in ((0, "train@none-natural-0"), (2, "attack@foreground-natural-0")):
        assert killed.statuses[number] not in (0, -signal.SIGKILL)
        assert f"failed to reproduce '{stage}'" in killed.outputs[number]
    assert killed.left[0] == []
    # What a stage has written is whole; without its card it is no result.
    assert [Path(path).name for path in killed.left[2]] == ["clean.parquet"]


def test_a_killed_training_goes_on_after_its_last_epoch(killed):
    before, after = (text.partition("train.py none")[2].partition("Running stage")[0] for text in killed.outputs[:2])
    assert "epoch 1/2" in before and "epoch 2/2" not in before
    assert "epoch 2/2" in after and "epoch 1/2" not in after


def test_a_killed_attack_keeps_its_finished_parts(killed):
    before, after = killed.parts[2:]
    assert before
    assert before.items() < after.items()


def test_without_dvc_a_stage_goes_on_and_the_next_run_waits_for_it(killed):
    assert killed.statuses[1] == -signal.SIGKILL
    assert WAITS in killed.outputs[2]


def test_what_was_done_before_a_kill_is_not_run_again(killed):
    seen = [ran(text) for text in killed.outputs]
    assert seen[0] & seen[1] == {"train@none-natural-0"}
    assert seen[1] & seen[2] == {"train@foreground-natural-0"}
    assert seen[2] & seen[3] == {"attack@foreground-natural-0"}


def test_the_end_is_that_of_an_undisturbed_run_in_another_clone(killed, built):
    assert killed.statuses[3] == 0
    ends = [artifacts(clone) for clone in (killed.clone, built.clone)]
    assert sorted(ends[0]) == sorted(ends[1])
    different = [name for name in ends[0] if ends[0][name] != ends[1][name]]
    assert different == []
    assert killed.clone.repro() == set()


def artifacts(clone: Clone) -> dict[str, bytes]:
    """Every file of what the report is made from."""
    files = [path for room in ("data", "models", "results") for path in (clone.root / room).rglob("*")]
    return {path.relative_to(clone.root).as_posix(): path.read_bytes() for path in files if path.is_file()}


def test_the_locks_are_the_same(killed, built):
    """But for the order of the stages: that is how they ended, and stages side by side may end in any order."""
    assert yaml.safe_load(killed.clone.lock) == yaml.safe_load(built.clone.lock)
