"""What `make` says on a machine that lacks something, and that it does nothing where nothing is to do.

In a folder of its own with an interpreter that only answers questions: nothing is installed here.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")

FAKE = """\
#!/bin/sh
case "$*" in
    *version_info\\[:2\\]*) echo {version} ;;
    *"version_info <"*) exit {old} ;;
    *ensurepip*) exit {no_venv} ;;
    *) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    return tmp_path


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # The tests may themselves run under `make`, which hands its own flags and level on.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    }
    return subprocess.run(["make", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def interpreter(folder: Path, version: str = "3.11", old: int = 0, no_venv: int = 0) -> str:
    path = folder / "fake-python"
    path.write_text(FAKE.format(version=version, old=old, no_venv=no_venv))
    path.chmod(0o755)
    return f"PYTHON={path}"


def first_error(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode != 0
    return done.stderr.splitlines()[0]


def test_the_default_is_a_list_of_targets(folder):
    done = make(folder)
    assert done.returncode == 0
    for target in ("repro", "test", "lint", "lock", "mutants", "help"):
        assert f"make {target} " in done.stdout
    assert not (folder / ".venv").exists()


def test_no_interpreter(folder):
    assert first_error(make(folder, "setup", "PYTHON=no-python")) == (
        "error: no-python: no such program. Install Python 3.11 or newer (Debian: python3 python3-venv)."
    )


def test_an_old_interpreter(folder):
    python = interpreter(folder, "3.10", old=1)
    assert first_error(make(folder, "setup", python)) == (
        f"error: {folder}/fake-python is Python 3.10; 3.11 or newer is needed. Name one: make PYTHON=python3.12 ..."
    )


def test_an_interpreter_without_venv(folder):
    python = interpreter(folder, no_venv=1)
    assert first_error(make(folder, "setup", python)) == (
        f"error: {folder}/fake-python cannot make a virtual environment. "
        "Install the package python3.11-venv (Debian: apt-get install python3-venv)."
    )


@pytest.fixture
def ready(folder):
    """A .venv that was made from this lock; its interpreter is the one that runs the tests."""
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(sys.executable)
    shutil.copy(folder / "requirements.lock", folder / ".venv")
    return folder


def test_nothing_is_done_where_the_lock_has_not_changed(ready):
    done = make(ready, "setup", "PYTHON=no-python")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_newer_file_with_the_same_content_is_no_change(ready):
    (ready / "requirements.lock").touch()
    assert make(ready, "setup", "PYTHON=no-python").returncode == 0


@pytest.mark.parametrize("broken", ["the lock changed", "the interpreter is gone", "the set-up was interrupted"])
def test_set_up_is_made_again_where_it_must(ready, broken):
    if broken == "the lock changed":
        (ready / "requirements.lock").write_text("torch==2.13.0\n")
    elif broken == "the interpreter is gone":
        (ready / ".venv/bin/python").unlink()
    else:
        (ready / ".venv/requirements.lock").unlink()
    assert first_error(make(ready, "setup", "PYTHON=no-python")).startswith("error: no-python: no such program.")


def test_the_environment_of_another_clone_is_not_changed(ready, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / ".venv"
    (ready / ".venv").rename(other)
    (ready / ".venv").symlink_to(other)
    assert make(ready, "setup", "PYTHON=no-python").returncode == 0
    (ready / "requirements.lock").write_text("torch==2.13.0\n")
    assert first_error(make(ready, "setup", interpreter(ready))) == (
        "error: .venv is a link, and what it points to was made from another requirements.lock. Remove the link."
    )
    assert (other / "requirements.lock").read_bytes() == (ROOT / "requirements.lock").read_bytes()
