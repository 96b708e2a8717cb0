"""Results go through a remote: pushed from one clone, pulled into another, and nothing there is run again."""

import sys
from pathlib import Path

import pytest

from end_to_end.clones import Clone


@pytest.fixture
def shared(copied, tmp_path):
    """A clone whose results are in a remote, and that remote."""
    remote = tmp_path / "remote"
    copied.dvc("remote", "add", "-q", "--default", "store", str(remote))
    copied.dvc("remote", "modify", "store", "verify", "true")
    copied.commit("where the results are")
    copied.dvc("push", "-q")
    return copied, remote


def fresh(clone: Clone, folder: Path) -> Clone:
    clone.run("git", "clone", "-q", str(clone.root), str(folder))
    return Clone(folder)


def test_another_clone_pulls_and_runs_nothing(shared, tmp_path):
    clone, remote = shared
    other = fresh(clone, tmp_path / "other")
    assert not (other.root / "results").exists()
    other.dvc("pull", "-q")
    assert other.repro() == set()
    assert other.run("git", "status", "--short") == ""
    for name in ("report/index.html", "results/foreground/natural/0/rows.parquet"):
        assert (other.root / name).read_bytes() == (clone.root / name).read_bytes()

    refuses_a_changed_object(fresh(clone, tmp_path / "third"), remote)


def refuses_a_changed_object(clone: Clone, remote: Path) -> None:
    large = max((path for path in remote.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    large.chmod(0o644)
    large.write_bytes(large.read_bytes()[:-1] + b"!")
    with clone.start(sys.executable, "-m", "dvc", "pull", "-q") as process:
        output, _ = process.communicate()
    assert process.returncode != 0, output
