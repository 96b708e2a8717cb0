"""How commands and stages start, speak and fail: as processes, and their times on disk."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pixelprune import __main__, cli
from pixelprune.commands import lineage
from pixelprune.errors import ArtifactError, ParamsError

SOURCE = Path(cli.__file__).parents[1]


def pixelprune(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-m", "pixelprune", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


def test_help_lists_every_command_with_a_line(capsys):
    assert __main__.main(["--help"]) == 0
    out = capsys.readouterr().out
    for path in __main__.COMMANDS.glob("[!_]*.py"):
        assert f"  {path.stem:10}{__main__.summary(path)}\n" in out
        assert 20 < len(__main__.summary(path)) < 105


def test_start_up_is_quick():
    """No command, and none of the large packages, is imported before it is asked for."""
    script = "import sys; from pixelprune.__main__ import main; main(['--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for heavy in ("torch", "numpy", "pandas", "pydantic", "dvc", "rich", "yaml"):
        assert f"'{heavy}'" not in done.stdout


@pytest.mark.parametrize(
    ("word", "hint"),
    [("chek", "did you mean 'check'?"), ("xyz", "there is check, "), ("../check", "did you mean 'check'?")],
)
def test_an_unknown_command_names_its_neighbour(word, hint):
    done = pixelprune(word)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: no command {word!r}; {hint}")
    assert done.stdout == ""


def test_no_command_is_a_call_for_help():
    done = pixelprune()
    assert done.returncode == 0
    assert done.stdout.startswith("usage: python -m pixelprune COMMAND")


def test_the_version():
    assert pixelprune("--version").stdout.startswith("pixelprune 0.")


def test_a_mistake_is_one_message_and_status_2(tmp_path):
    done = pixelprune("check", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: params.yaml: no such file. Run from the folder of a study: the root, or studies/NAME.\n"
    )


STAGE = """\
\"\"\"stage: does something.

python stage.py NAME
\"\"\"
import os, sys, time
from pixelprune import cli
from pixelprune.errors import ParamsError

def main(name):
    if name == "mistake":
        raise ParamsError("params.yaml: 1 to fix\\n  a: missing")
    if name == "bug":
        raise KeyError("a")
    if name == "full":
        raise OSError(28, "No space left on device", "data/a.npy")
    if name == "closed":
        raise OSError(30, "Read-only file system", "data/a.npy")
    if name == "long":
        print("ready", flush=True)
        time.sleep(60)
    if name == "loud":
        for line in range(100_000):
            print(line)
    print("done")

cli.run(main, __doc__)
"""


@pytest.fixture
def stage(tmp_path):
    (tmp_path / "stage.py").write_text(STAGE)
    return [sys.executable, str(tmp_path / "stage.py")]


@pytest.mark.parametrize(
    ("words", "status", "error"),
    [
        (["fine"], 0, ""),
        (["mistake"], 2, "error: params.yaml: 1 to fix\n  a: missing\n"),
        (
            ["full"],
            2,
            "error: data/a.npy: No space left on device. Nothing is left half-written; make room and run again.\n",
        ),
        (["closed"], 2, "error: data/a.npy: Read-only file system.\n"),
        ([], 2, "stage: does something.\n\npython stage.py NAME\n"),
        (["a", "b"], 2, "stage: does something.\n\npython stage.py NAME\n"),
    ],
)
def test_a_stage_ends_with_one_message(stage, words, status, error):
    done = subprocess.run([*stage, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, error)


def test_a_stage_explains_itself(stage):
    done = subprocess.run([*stage, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout == "stage: does something.\n\npython stage.py NAME\n"


def test_a_bug_keeps_its_traceback(stage):
    done = subprocess.run([*stage, "bug"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("KeyError: 'a'\n")


def test_an_interrupt_is_one_line(stage):
    with subprocess.Popen([*stage, "long"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (130, "interrupted\n")


def test_a_reader_that_goes_away_is_no_error(stage):
    with subprocess.Popen([*stage, "loud"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_times_are_kept_by_stage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with cli.timed("train@a-b-0"):
        time.sleep(0.02)
    with cli.timed("report"):
        pass
    times = cli.times(tmp_path)
    assert set(times) == {"train@a-b-0", "report"}
    assert 0.02 <= times["train@a-b-0"] < 5


def test_a_stage_that_failed_has_no_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParamsError), cli.timed("train"):
        raise ParamsError("no")
    assert not cli.TIMINGS.exists()


def test_a_damaged_time_is_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for stage in ("report", "transfer"):
        with cli.timed(stage):
            pass
    for damaged in ("{", "1 2", "\xff", ""):
        (cli.TIMINGS / "transfer").write_text(damaged, encoding="latin-1")
        assert set(cli.times(tmp_path)) == {"report"}


def test_a_stage_does_not_fail_for_its_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", refuse)
    with cli.timed("report"):
        pass
    assert cli.times(tmp_path) == {}


LOCK = """\
schema: '2.0'
stages:
  download:
    deps: [{path: stages/download.py, md5: 0123456789abcdef0123456789abcdef}]
    outs: [{path: data/raw, md5: fedcba9876543210fedcba9876543210.dir}]
"""


def test_lineage_shows_what_the_results_came_from(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lineage.LOCK.write_text(LOCK)
    with cli.timed("download"):
        pass
    (cli.TIMINGS / "download").write_text("3\n")
    (cli.TIMINGS / "prune@gone").write_text("4\n")
    assert lineage.main(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["hashes"] == {
        "download": {
            "stages/download.py": "0123456789abcdef0123456789abcdef",
            "data/raw": "fedcba9876543210fedcba9876543210.dir",
        }
    }
    assert found["seconds"] == {"download": 3, "prune@gone": 4}
    assert found["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"torch", "numpy", "dvc", "opencv-python"} <= set(found["versions"])
    assert found["hardware"]["cores"] >= 1
    assert lineage.main([]) == 0
    out = capsys.readouterr().out
    assert "data/raw" in out
    assert "fedcba987654" in out
    assert "download" in out
    assert "\n3 s in all" in out, "a stage that is gone has no part in it"


def test_lineage_helps_where_there_is_no_study(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        lineage.main(["--help"])
    assert end.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_lineage_names_the_commit_and_that_files_differ(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert lineage.commit() is None
    (tmp_path / "a").write_text("1")
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "a"], [*author, "commit", "-qm", "a"]):
        subprocess.run(["git", *words], check=True)
    head = lineage.commit()
    assert head is not None
    assert len(head) == 40
    (tmp_path / "a").write_text("2")
    assert lineage.commit() == f"{head}+"


@pytest.mark.parametrize("content", ["stages: [", "a: 1", "- 1"])
def test_a_lock_that_is_none(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError, match=r"dvc\.lock: no such file"):
        lineage.hashes()
    lineage.LOCK.write_text(content)
    with pytest.raises(ArtifactError, match=r"dvc\.lock: not what DVC writes"):
        lineage.hashes()


@pytest.mark.parametrize(
    ("cpu", "memory", "cores", "gib"),
    [("100000 100000", "3221225472", 1, 3.0), ("50000 100000", "max", 1, None), ("max 100000", "max", None, None)],
)
def test_hardware_is_what_a_container_may_use(tmp_path, monkeypatch, cpu, memory, cores, gib):
    monkeypatch.setattr(lineage, "CGROUP", tmp_path / "none")
    machine = lineage.hardware()
    (tmp_path / "cpu.max").write_text(cpu)
    (tmp_path / "memory.max").write_text(memory)
    monkeypatch.setattr(lineage, "CGROUP", tmp_path)
    found = lineage.hardware()
    assert found["cores"] == (cores or machine["cores"]) and found["memory_gib"] == (gib or machine["memory_gib"])
