"""The folder of a killed stage: its name, its lock, its end."""

import re
import threading
from pathlib import Path

import pytest
import torch

from pixelprune import state
from pixelprune.errors import ArtifactError

PARTS = {"files": ["a", "b"], "seed": 0, "options": {"steps": 10, "eps": 0.1}}


def test_a_fingerprint_is_a_function_of_its_parts() -> None:
    name = state.fingerprint(**PARTS)
    assert re.fullmatch("[0-9a-f]{24}", name)
    assert state.fingerprint(**dict(reversed(PARTS.items()))) == name
    others = [
        {**PARTS, "seed": 1}, {**PARTS, "seed": "0"}, {**PARTS, "files": ["b", "a"]}, {**PARTS, "files": ["ab"]},
        {**PARTS, "options": {"steps": 10, "eps": 0.10000000000000002}}, {**PARTS, "more": None},
    ]  # fmt: skip
    assert len({name, *(state.fingerprint(**other) for other in others)}) == 1 + len(others)


def test_a_fingerprint_knows_the_thread_count(monkeypatch) -> None:
    """Sums of floats depend on it: half of the work under one count, half under another, is the work of neither."""
    name = state.fingerprint(**PARTS)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    assert state.fingerprint(**PARTS) != name


def test_a_fingerprint_does_not_change_its_parts() -> None:
    parts = dict(PARTS)
    state.fingerprint(**parts)
    assert parts == PARTS


def test_the_digest_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert state.file_digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    path.unlink()
    with pytest.raises(ArtifactError) as error:
        state.file_digest(path)
    assert str(error.value) == f"{path}: no such file. Run `dvc repro`, or `dvc pull` to fetch it."


def test_the_folder_is_kept_until_it_is_forgotten(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with state.locked("work") as folder:
        assert folder == Path(".pixelprune/state/work")
        (folder / "part").write_bytes(b"done")
    with state.locked("work") as folder:
        assert (folder / "part").read_bytes() == b"done"
        state.forget(folder)
    assert not folder.exists()
    state.forget(folder)


def test_who_comes_second_says_so_and_gets_it_when_the_first_is_done(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    held, order = threading.Event(), []

    def first() -> None:
        with state.locked("work"):
            held.set()
            threading.Event().wait(0.3)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    assert held.wait(10)
    with state.locked("other work"):
        assert order == []
    with state.locked("work"):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "  another process is at this very work (.pixelprune/state/work); waiting for it\n"


def test_an_error_inside_releases_the_folder(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyError), state.locked("work"):
        raise KeyError
    with state.locked("work"):
        pass
    assert capsys.readouterr().err == ""


def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".pixelprune").write_bytes(b"")
    with pytest.raises(ArtifactError) as error, state.locked("work"):
        pytest.fail("there is no folder")
    assert str(error.value) == ".pixelprune/state: cannot be written (Not a directory)."
