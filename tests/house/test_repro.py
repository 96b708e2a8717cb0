"""`pixelprune repro` on pipelines of dvc that take no time: what runs, when, and what a failure leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml
from dvc.repo import Repo, lock_repo

from pixelprune.commands import repro as repro_command
from pixelprune.commands.repro import START, costs, jobs_for, longest_ways, startable

MEET = """
import pathlib, sys, time
own, other = map(pathlib.Path, sys.argv[1:])
own.with_suffix(".here").touch()
while not other.with_suffix(".here").exists():
    time.sleep(0.01)
own.write_text(own.stem)
print("met", other.stem)
"""
"""A stage that ends only while the other one runs."""

FAIL = "import sys; print('error: no such thing', file=sys.stderr); sys.exit(2)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "meet.py").write_text(MEET)
    (tmp_path / "join.py").write_text("open('both', 'w').write(open('left').read() + open('right').read())\n")
    (tmp_path / "last.py").write_text(FAIL)
    stages = {
        "both": {"cmd": "python join.py", "deps": ["join.py", "left", "right"], "outs": ["both"]},
        "left": {"cmd": "python meet.py left right", "deps": ["meet.py"], "outs": ["left"]},
        "right": {"cmd": "python meet.py right left", "deps": ["meet.py"], "outs": ["right"]},
        "last": {"cmd": "python last.py", "deps": ["last.py", "both"], "outs": ["end"]},
        "after": {"cmd": "cp end after", "deps": ["end"], "outs": ["after"]},
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=tmp_path, check=True)
    return tmp_path


def environment() -> dict[str, str]:
    """Without an activated environment."""
    return os.environ | {"PATH": os.defpath}


def repro(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pixelprune", "repro", *words]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300)


def ended(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The stages, in the order in which they ended."""
    return [line.split("] ")[1].split(",")[0] for line in done.stdout.splitlines() if line.startswith("[")]


def test_stages_run_side_by_side_each_after_what_it_needs_until_one_fails(folder: Path) -> None:
    done = repro(folder, "--jobs", "2")
    assert done.returncode == 1
    assert sorted(ended(done)[:2]) == ["left", "right"] and ended(done)[2:] == ["both"]
    lines = done.stdout.splitlines()
    assert {"left | met right", "right | met left", "last | error: no such thing"} <= set(lines)
    assert "left | Running stage 'left':" in lines and not [line for line in lines if "git add" in line]
    assert done.stderr == "error: last failed, as its lines above say.\n"
    assert (folder / "both").read_text() == "leftright"

    (folder / "last.py").write_text("open('end', 'w').close()\n")
    (folder / "meet.py").write_text("import sys; print('again'); open(sys.argv[1], 'w').write(sys.argv[1])\n")
    done = repro(folder, "--jobs", "3")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(ended(done)[:2]) == ["left", "right"] and ended(done)[2:] == ["both", "last", "after"]
    assert "both | Stage 'both' didn't change, skipping" in done.stdout  # the same bytes on both sides of it
    status = subprocess.run([sys.executable, "-m", "dvc", "status"], cwd=folder, capture_output=True, text=True)
    assert status.stdout == "Data and pipelines are up to date.\n"

    done = repro(folder)
    assert (done.returncode, done.stdout) == (0, "Everything is up to date.\n")


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        (signal.SIGTERM, 143, ""),
        (signal.SIGINT, 130, "interrupted\n"),
        (signal.SIGHUP, 129, ""),
    ],
)
def test_what_ends_it_ends_its_stages(folder: Path, number: int, status: int, said: str) -> None:
    command = [sys.executable, "-m", "pixelprune", "repro", "--jobs", "1", "dvc.yaml"]
    (folder / "meet.py").write_text(
        "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\ntime.sleep(300)"
    )
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (folder / "pid").exists() or not (folder / "pid").read_text():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        lines, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (status, said)
    assert "left | ERROR: failed to reproduce 'left'" in lines, "DVC itself is not signalled: it ends its files"
    assert (folder / ".dvc/tmp/rwlock").read_text() == "{}"
    with suppress(psutil.NoSuchProcess):  # nobody may have asked yet how it ended
        assert psutil.Process(int((folder / "pid").read_text())).status() == psutil.STATUS_ZOMBIE


def test_it_reads_no_lock_file_that_is_being_written(folder: Path) -> None:
    (folder / "last.py").write_text("open('end', 'w').close()\n")
    with Repo(str(folder)) as repo, lock_repo(repo):
        (folder / "dvc.lock").write_text("half of")
        command = [sys.executable, "-m", "pixelprune", "repro"]
        process = subprocess.Popen(command, cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        (folder / "dvc.lock").unlink()
    assert process.communicate(timeout=120)[1] == "" and process.returncode == 0


def test_a_folder_stands_for_its_pipeline(folder: Path) -> None:
    (folder / "last.py").write_text("open('end', 'w').close()\n")
    assert repro(folder, str(folder)).returncode == 0
    assert (folder / "after").exists()


def test_lineage_leaves_out_stages_that_are_gone(folder: Path) -> None:
    md5 = 32 * "a"
    locked = {name: {"cmd": "true", "outs": [{"path": name, "md5": md5}]} for name in ("left", "gone")}
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": locked}))
    command = [sys.executable, "-m", "pixelprune", "lineage", "--json"]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["hashes"] == {"left": {"left": md5}}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--jobs", "0"], "error: --jobs: found 0, expected 1 or more.\n"),
        (["mine"], "error: found 'mine', expected the folder of a study, or its dvc.yaml\n"),
        (["dvc.lock"], "error: found 'dvc.lock', expected the folder of a study, or its dvc.yaml\n"),
    ],
)
def test_a_mistake_is_one_message(folder: Path, words: list[str], message: str) -> None:
    done = repro(folder, *words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


def test_nothing_runs_where_the_params_are_wrong(folder: Path) -> None:
    (folder / "params.yaml").write_text("seeds: [one]\n")
    done = repro(folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: params.yaml: ") and "seeds.0: " in done.stderr
    assert not list(folder.glob("*.here"))


@pytest.fixture
def interruptible():
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("interruptible")
def test_a_stage_that_does_not_end_when_interrupted_is_killed(monkeypatch) -> None:
    """What waits for it, as DVC does, is not."""
    monkeypatch.setattr(repro_command, "PATIENCE", 0.5)
    stage = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('here', flush=True); time.sleep(99)"
    )
    waits = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {stage!r}]).returncode == -9)"
    with (
        ThreadPoolExecutor(1) as pool,
        subprocess.Popen([sys.executable, "-c", waits], stdout=subprocess.PIPE, process_group=0, text=True) as child,
    ):
        assert child.stdout is not None and child.stdout.readline() == "here\n"
        repro_command._end([pool.submit(lambda: child.wait() == 0)], [child], signal.SIGINT)
    assert child.returncode == 1


def test_what_reads_the_lock_file_runs_alone() -> None:
    report, attack, fit = "studies/mine/dvc.yaml:report", "attack@a", "importance@unused"
    assert startable([attack, fit], [], 4) == [attack, fit] and startable([attack, fit], [], 1) == [attack]
    assert startable([report, fit], [], 4) == [fit]
    assert startable([report], [fit], 4) == []
    assert startable([report], [], 1) == [report]
    assert startable([fit], [report], 4) == []


@pytest.mark.parametrize(
    ("gpu", "cores", "memory", "jobs"),
    [([], 8, 31.2, 8), ([], 8, 7.7, 3), ([], 1, 31.2, 1), ([], 8, 0.9, 1), (["H100"], 8, 31.2, 1), ([], 8, None, 1)],
)
def test_as_many_stages_as_cores_and_memory_allow(gpu: list[str], cores: int, memory: float | None, jobs: int) -> None:
    assert jobs_for({"gpu": gpu, "cores": cores, "memory_gib": memory}) == jobs


def test_what_most_of_the_time_depends_on_is_most_urgent() -> None:
    needs = {"end": {"short", "long"}, "short": {"first"}, "long": set(), "first": set(), "alone": set()}
    cost = costs(needs, {"first": 2, "short": 1, "long": 4, "end": 3, "gone": 9})
    assert cost == {
        stage: START + seconds for stage, seconds in zip(("end", "short", "long", "first", "alone"), (3, 1, 4, 2, 2.5))
    }
    assert costs(["studies/mine/dvc.yaml:end"], {"end": 3}) == {"studies/mine/dvc.yaml:end": START + 3}
    cost = {"first": 2.0, "short": 1.0, "long": 4.0, "end": 3.0, "alone": 2.5}
    assert longest_ways(needs, cost) == {"first": 6, "short": 4, "long": 7, "end": 3, "alone": 2.5}
