"""Run what `dvc repro` would, several stages at a time: repro [--jobs N] [STUDY]

Each stage is a `dvc repro --single-item` of its own, started when all that it needs is there. DVC decides whether it
has to run, locks what it reads and writes, and caches it. After a failure the running stages end and no other starts.
What interrupts or terminates this command does so to them, and DVC ends by itself: dvc.lock stays whole.
"""

import argparse
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import chdir, suppress
from graphlib import TopologicalSorter
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import psutil
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo

from pixelprune import cli, params
from pixelprune.commands import check, lineage
from pixelprune.errors import ParamsError

Needs = Mapping[str, Collection[str]]
"""A stage -> the stages that must be up to date before it."""

CHATTER = (
    "Updating lock file", "Generating lock file", "To track the changes with git", "git add", "To enable auto staging",
    "dvc config core.autostage", "Use `dvc push`", "Data and pipelines are up to date",
)  # fmt: skip
"""What DVC says at the end of each stage as at the end of all."""

MEMORY = 2
"""GiB that a stage may take; those of the default study take less than half of it."""

ENDS = [signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]
"""Signals that end the stages, too; an interrupt does so by itself."""

PATIENCE = 30.0
"""Seconds that an interrupted stage may take to end before it is killed."""

READS_LOCK = "report"
"""The stage that reads dvc.lock, which DVC writes anew at the end of every other one."""

START = 5.0
"""Seconds until a stage is at work, and DVC done with it, beside those that it counts itself."""


def main(words: list[str]) -> int:
    """Exit status 0 where everything is up to date, 1 where a stage failed."""
    parser = argparse.ArgumentParser("python -m pixelprune repro", description=__doc__.partition("\n\n")[0])
    parser.add_argument(
        "target",
        nargs="?",
        default="dvc.yaml",
        metavar="STUDY",
        help="its folder or dvc.yaml; default dvc.yaml",
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N",
        help=f"stages at a time; default: one a core and {MEMORY} GiB of memory, and one with an accelerator",
    )  # fmt: skip
    options = parser.parse_args(words)
    machine = lineage.hardware()
    jobs = jobs_for(machine) if options.jobs is None else options.jobs
    if jobs < 1:
        raise ParamsError(f"--jobs: found {jobs}, expected 1 or more.")
    for number in ENDS:
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup has told it to ignore a terminal that is closed
            signal.signal(number, _terminated)
    target = Path(options.target)
    if target.is_dir():
        target /= "dvc.yaml"
    if target.name != "dvc.yaml" or not target.is_file():
        raise ParamsError(f"found {options.target!r}, expected the folder of a study, or its dvc.yaml")
    if (target.parent / params.FILE).is_file():
        with chdir(target.parent):
            check.main([])
    needs = outdated(str(target))
    if not needs:
        print("Everything is up to date.")
        return 0
    environment = {"OMP_NUM_THREADS": str(max(machine["cores"] // jobs, 1))} | os.environ
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    failed = run(needs, costs(needs, cli.times(target.parent)), jobs, environment)
    for stage in failed:
        print(f"error: {stage} failed, as its lines above say.", file=sys.stderr)
    return 1 if failed else 0


def outdated(target: str) -> Needs:
    """The stages behind the target that changed or depend on one that did.

    Raises ParamsError where DVC cannot read them.
    """
    try:
        with Repo(_wait_for_lock=True) as repo, lock_repo(repo):
            graph = repo.index.graph
            names = {stage: stage.addressing for stage in repo.stage.collect(target, with_deps=True)}
            found = set(repo.status(targets=[target], with_deps=True))
    except LockError:
        raise ParamsError(
            "DVC is at work here, maybe at the last stage of a run that was killed: wait for it."
        ) from None
    except DvcException as error:
        raise ParamsError(f"DVC: {str(error).rstrip('.')}.") from None
    needs = {name: {names[needed] for needed in graph.successors(stage)} for stage, name in names.items()}
    for name in TopologicalSorter(needs).static_order():
        if needs[name] & found:
            found.add(name)
    return {name: needs[name] & found for name in found}


def jobs_for(machine: Mapping[str, Any]) -> int:
    """How many stages at a time a machine holds. machine: as lineage.hardware describes it."""
    if machine["gpu"]:
        return 1
    enough = int(machine["memory_gib"] or MEMORY) // MEMORY
    return max(1, min(int(machine["cores"]), enough))


def run(needs: Needs, cost: Mapping[str, float], jobs: int, environment: Mapping[str, str]) -> list[str]:
    """Runs every stage, so many at a time, those first that most of the time depends on. Returns those that failed."""
    begun, urgent = time.monotonic(), longest_ways(needs, cost)
    order = TopologicalSorter(needs)
    order.prepare()
    ready: set[str] = set()
    left, failed = set(needs), list[str]()
    running: dict[Future[bool], str] = {}
    children: set[subprocess.Popen[str]] = set()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while (left and not failed) or running:
                ready.update(order.get_ready())
                first = sorted(ready, key=lambda stage: (-urgent[stage], stage))
                for stage in [] if failed else startable(first, running.values(), jobs):
                    ready.remove(stage)
                    running[pool.submit(_repro, stage, environment, children)] = stage
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    stage = running.pop(future)
                    if future.result():
                        order.done(stage)
                        left.remove(stage)
                        share = sum(cost[stage] for stage in left) / sum(cost.values())
                        time_left = (time.monotonic() - begun) * share / (1 - share)
                        print(
                            f"[{len(needs) - len(left)}/{len(needs)}] {stage}, {_minutes(time_left)} left", flush=True
                        )
                    else:
                        failed.append(stage)
        except (KeyboardInterrupt, SystemExit) as stop:
            _end(running, children, signal.SIGTERM if isinstance(stop, SystemExit) else signal.SIGINT)
            raise
    return failed


def startable(ready: Sequence[str], running: Collection[str], jobs: int) -> Sequence[str]:
    """Which of the ready stages, the most urgent first, start now beside those that run."""
    alone = [stage for stage in ready if _reads_lock(stage)]
    if any(map(_reads_lock, running)):
        return []
    others = [stage for stage in ready if stage not in alone]
    return others[: jobs - len(running)] if others or running else alone[:1]


def _reads_lock(stage: str) -> bool:
    return stage.rpartition(":")[2] == READS_LOCK


def _end(running: Collection[Future[bool]], children: Collection[subprocess.Popen[str]], number: int) -> None:
    """Sends the signal to each process of each stage, once, until DVC has ended behind all of them.

    Never to DVC: it could be writing dvc.lock.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told: set[psutil.Process] = set()
    begun = time.monotonic()
    while not all(future.done() for future in running):
        if time.monotonic() - begun > PATIENCE:
            number, begun = signal.SIGKILL, math.inf
            told.clear()
        for child in list(children):
            with suppress(psutil.NoSuchProcess):
                for process in psutil.Process(child.pid).children(recursive=True):
                    if process not in told:
                        told.add(process)
                        process.send_signal(number)
        time.sleep(0.05)


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def costs(stages: Collection[str], seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds that each stage may take: as in its last run on this machine, else the mean of those that had one.

    seconds: by the name of a stage without the path of its dvc.yaml.
    """
    known = {stage: seconds[stage.rpartition(":")[2]] for stage in stages if stage.rpartition(":")[2] in seconds}
    mean = sum(known.values()) / len(known) if known else 0.0
    return {stage: START + known.get(stage, mean) for stage in stages}


def longest_ways(needs: Needs, cost: Mapping[str, float]) -> dict[str, float]:
    """From the start of each stage to the end of the last that waits for it, in the unit of the costs."""
    ways = dict(cost)
    for stage in reversed(list(TopologicalSorter(needs).static_order())):
        for needed in needs[stage]:
            ways[needed] = max(ways[needed], cost[needed] + ways[stage])
    return ways


def _repro(stage: str, environment: Mapping[str, str], children: set[subprocess.Popen[str]]) -> bool:
    """Whether the stage is now up to date. Prints what it says, behind its name, as it says it.

    children: holds the process while it runs, the first of a group of its own.
    """
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", stage]
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    ) as process:
        children.add(process)
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() and not line.strip().startswith(CHATTER):
                print(f"{stage} | {line}", end="", flush=True)
    children.remove(process)
    return process.returncode == 0


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
