"""A tiny grid, run once by the real dvc in a clone of its own; tests that change something work on copies of it."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from end_to_end.clones import Clone

# Run before a stage's own code (as sitecustomize): the stage named in HOLD, once it has printed a line with the given
# text, writes its process id to FOLDER/held and stops: until FOLDER/release exists, or for good after minutes.
HOLD = """
import os, sys, time
stage, text, folder = os.environ["HOLD"].split("|")

class Held:
    def __init__(self, stream): self.stream = stream
    def __getattr__(self, name): return getattr(self.stream, name)
    def write(self, line):
        self.stream.write(line)
        self.stream.flush()
        if text in line:
            end = time.monotonic() + 1200
            with open(os.path.join(folder, "held"), "w") as file: file.write(str(os.getpid()))
            while not os.path.exists(os.path.join(folder, "release")):
                if time.monotonic() > end: os._exit(1)
                time.sleep(0.02)

if stage in " ".join(sys.orig_argv):
    sys.stdout = Held(sys.stdout)
"""


@pytest.fixture(scope="session")
def two_at_a_time() -> Iterator[ThreadPoolExecutor]:
    """Runs functions, and the processes that they start, on one core each.

    Most of a stage of this grid is one thread that imports. Its work is so small that a second thread is waited for
    longer than it helps, and for minutes where the machine is busy.
    """
    cores = iter(sorted(os.sched_getaffinity(0)) * 2 if sys.platform == "linux" else [])

    def pin() -> None:
        if sys.platform == "linux":
            os.sched_setaffinity(0, [next(cores)])  # of this thread alone; processes that it starts inherit it

    with ThreadPoolExecutor(2, initializer=pin) as pool:
        yield pool


@dataclass(frozen=True)
class Built:
    clone: Clone
    output: str


@pytest.fixture(scope="session")
def building(tmp_path_factory: pytest.TempPathFactory, two_at_a_time: ThreadPoolExecutor) -> Future[Built]:
    folder = tmp_path_factory.mktemp("grid")

    def build() -> Built:
        clone = Clone.make(folder / "clone")
        output = clone.run(sys.executable, "-m", "pixelprune", "repro", "--jobs", "2")
        clone.commit("its results")
        return Built(clone, output)

    return two_at_a_time.submit(build)


@pytest.fixture(scope="session")
def built(building: Future[Built]) -> Built:
    """The grid, run to its end and committed. Not to be changed: see `copied`."""
    return building.result()


@pytest.fixture
def copied(built: Built, tmp_path: Path) -> Iterator[Clone]:
    yield built.clone.copy(tmp_path / "clone")
    shutil.rmtree(tmp_path / "clone")


@pytest.fixture(scope="session")
def hold(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Clone, str, str, Path], dict[str, str]]:
    """Environment in which a stage stops after a line of its own."""
    folder = tmp_path_factory.mktemp("hold")
    (folder / "sitecustomize.py").write_text(HOLD)

    def held(clone: Clone, stage: str, text: str, flags: Path) -> dict[str, str]:
        paths = os.pathsep.join([str(folder), str(clone.root / "src")])
        return {"PYTHONPATH": paths, "HOLD": f"{stage}|{text}|{flags}"}

    return held
