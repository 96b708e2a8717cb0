"""A file is whole under its name, or as it was: every call that can fail is made to fail once."""

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pixelprune import artifacts
from pixelprune.errors import ArtifactError

OLD, NEW = np.zeros(3, np.float32), np.ones(4, np.float32)


@pytest.fixture
def path(tmp_path):
    artifacts.save_array(tmp_path / "a.npy", OLD)
    return tmp_path / "a.npy"


CALLS = [(tempfile, "NamedTemporaryFile"), (np, "save"), (os, "fsync"), (os, "chmod"), (os, "replace")]


@pytest.mark.parametrize(("owner", "call"), CALLS, ids=[call for _, call in CALLS])
def test_a_full_disk_leaves_the_old_file_and_no_litter(path, monkeypatch, owner, call):
    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(owner, call, fail)
    with pytest.raises(OSError, match="No space"):
        artifacts.save_array(path, NEW)
    monkeypatch.undo()
    assert np.array_equal(np.load(path), OLD)
    assert [file.name for file in path.parent.iterdir()] == ["a.npy"]


def test_a_killed_writer_leaves_the_old_file(path):
    script = (
        "import os, pathlib, signal; from pixelprune import artifacts\n"
        f"with artifacts.atomic(pathlib.Path({str(path)!r})) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert np.array_equal(np.load(path), OLD)


def test_a_reader_keeps_the_file_that_it_opened(path):
    """Outputs may be links into the cache of DVC: they are replaced, never written into."""
    before = artifacts.load_array(path, "float32", "N")
    linked = path.with_name("linked.npy")
    os.link(path, linked)
    artifacts.save_array(path, NEW)
    assert np.array_equal(before, OLD)
    assert np.array_equal(np.load(linked), OLD)
    assert np.array_equal(np.load(path), NEW)


TABLE = pd.DataFrame({"image": np.arange(3), "attack": ["a", "b", "a"], "margin": np.float32([0.5, -1, 2])})
WRITERS = {
    "a.npy": lambda path: artifacts.save_array(path, np.arange(6).reshape(2, 3)),
    "a.json": lambda path: artifacts.save_json(path, {"b": 1, "a": [0.1, None]}),
    "a.txt": lambda path: artifacts.save_text(path, "über\n"),
    "a.parquet": lambda path: artifacts.save_table(path, TABLE),
    "a.safetensors": lambda path: artifacts.save_tensors(path, {"b": torch.ones(2, 3).T, "a": torch.zeros(1)}),
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_content_gives_the_same_bytes(tmp_path, name):
    one, two = tmp_path / name, tmp_path / "deep/down" / f"other_{name}"
    WRITERS[name](one)
    WRITERS[name](two)
    assert one.read_bytes() == two.read_bytes()
    assert one.stat().st_mode & 0o777 == 0o644


def test_order_of_keys_does_not_reach_the_file(tmp_path):
    artifacts.save_json(tmp_path / "a.json", {"a": 1, "b": 2})
    artifacts.save_json(tmp_path / "b.json", {"b": 2, "a": 1})
    artifacts.save_tensors(tmp_path / "a.safetensors", {"a": torch.ones(1), "b": torch.zeros(2)})
    artifacts.save_tensors(tmp_path / "b.safetensors", {"b": torch.zeros(2), "a": torch.ones(1)})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_what_is_written_is_read(tmp_path):
    for name, write in WRITERS.items():
        write(tmp_path / name)
    assert np.array_equal(artifacts.load_array(tmp_path / "a.npy", "int64", "N M"), np.arange(6).reshape(2, 3))
    assert artifacts.load_json(tmp_path / "a.json") == {"a": [0.1, None], "b": 1}
    pd.testing.assert_frame_equal(artifacts.load_table(tmp_path / "a.parquet"), TABLE)
    assert torch.equal(artifacts.load_tensors(tmp_path / "a.safetensors")["b"], torch.ones(3, 2))


def test_json_holds_no_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        artifacts.save_json(tmp_path / "a.json", {"rate": float("nan")})
    assert not list(tmp_path.iterdir())


READERS = {
    "npy": lambda path: artifacts.load_array(path, "float32", "N"),
    "json": artifacts.load_json,
    "parquet": artifacts.load_table,
    "safetensors": artifacts.load_tensors,
}
KIND = {
    "npy": "a whole .npy file",
    "json": "JSON",
    "parquet": "a whole parquet file",
    "safetensors": "a whole safetensors file",
}


@pytest.mark.parametrize("kind", READERS)
def test_a_missing_file_says_how_to_get_it(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    with pytest.raises(ArtifactError) as error:
        READERS[kind](path)
    assert str(error.value) == f"{path}: no such file. Run `dvc repro`, or `dvc pull` to fetch it."


@pytest.mark.parametrize("content", [b"", b"half", b"<html>", b"\x93NUMPY", b"PAR1PAR1", b"\xff" * 100])
@pytest.mark.parametrize("kind", READERS)
def test_a_damaged_file_is_named(tmp_path, kind, content):
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content)
    with pytest.raises(ArtifactError) as error:
        READERS[kind](path)
    assert str(error.value).startswith(f"{path}: not {KIND[kind]} (")
    assert str(error.value).endswith("). Delete it and run `dvc repro`.")


@pytest.mark.parametrize("kind", READERS)
def test_a_file_cut_short_is_named(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    WRITERS[f"a.{kind}"](path)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, max(1, len(whole) // 40)):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactError):
            READERS[kind](path)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_or_our_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(content)
    for read in READERS.values():
        try:
            read(path)
        except ArtifactError as error:
            assert str(path) in str(error)  # noqa: PT017


def test_a_pickle_inside_is_not_run(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ArtifactError, match="not a whole"):
        artifacts.load_array(path, "float32", "N")


def test_an_array_of_another_kind_is_refused(path):
    with pytest.raises(ArtifactError) as error:
        artifacts.load_array(path, "uint8", "N H W")
    assert str(error.value) == f"{path}: found float32 (3,), expected uint8 (N H W)."


def test_a_folder_that_is_none(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ArtifactError) as error:
        artifacts.save_text(tmp_path / "data/a.txt", "")
    assert str(error.value) == f"{tmp_path}/data: cannot be written (File exists)."


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_is_read_only(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ArtifactError, match="cannot be written"):
        artifacts.save_text(tmp_path / "a.txt", "")


def test_a_read_only_file_system(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    with pytest.raises(ArtifactError) as error:
        artifacts.save_json(tmp_path / "a.json", json.loads("{}"))
    assert str(error.value) == f"{tmp_path}: cannot be written (Permission denied)."


def test_a_result_that_is_begun_anew_has_no_card(tmp_path):
    artifacts.save_json(tmp_path / "card.json", {})
    artifacts.begin(tmp_path)
    assert list(tmp_path.iterdir()) == []
    artifacts.begin(tmp_path / "new")  # nothing to take away


def test_a_folder_that_is_none_is_said_before_the_work(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ArtifactError) as error:
        artifacts.begin(tmp_path / "data")
    assert str(error.value) == f"{tmp_path}/data: cannot be written (Not a directory)."
