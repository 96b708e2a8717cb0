"""`compare` and invalid runs, on invented results recorded as DVC records them; tests/end_to_end has a real history."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from pixelprune.__main__ import main
from pixelprune.commands import _revision
from pixelprune.commands._revision import Revision
from reporting import synthetic
from reporting.conftest import ADVERSARIAL, FEW

PARAMS: dict[str, Any] = {"threats": synthetic.THREATS, "ladder": synthetic.LADDER}


def recorded(name: str, root: Path, cache: Path) -> Revision:
    """The results under `root`, every file in the cache under its hash."""

    def stored(content: bytes, ending: str = "") -> str:
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest() + ending
        path = cache / digest[:2] / digest[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return digest

    def folder(path: Path) -> str:
        files = sorted(file for file in path.rglob("*") if file.is_file())
        listing = [{"relpath": file.relative_to(path).as_posix(), "md5": stored(file.read_bytes())} for file in files]
        return stored(json.dumps(listing).encode(), ".dir")

    runs = sorted((root / "results").glob("*/*/*"))
    results = {path.relative_to(root / "results").as_posix(): folder(path) for path in runs}
    shared = {name: folder(root / name) for name in ("data/raw", "transfer")}
    return Revision(name, PARAMS, results, shared, cache)


@pytest.fixture
def revisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`valid`, `invalid`, which differs in a fatal check, and `still`, invalid and with another warning too."""
    found = {}
    for name, failed in (("valid", {}), ("invalid", {"E4": "F"}), ("still", {"E4": "F", "E14": "W"})):
        root = tmp_path / name
        synthetic.write(root, failed=failed, strategies=FEW, trainings=ADVERSARIAL, count=32, attacked=24)
        pictures = root / "data/raw/test/images.npy"
        pictures.parent.mkdir(parents=True, exist_ok=True)
        pictures.write_bytes(b"pictures")
        found[name] = recorded(name, root, tmp_path / "cache")
    found["renamed"] = replace(
        found["valid"], name="renamed", results={f"{run}1": at for run, at in found["valid"].results.items()}
    )
    checks = json.loads((tmp_path / "valid/transfer/checks.json").read_text())
    checks["foreground/adversarial/0"] |= {"severity": "F", "verdict": "fail"}
    (tmp_path / "valid/transfer/checks.json").write_text(json.dumps(checks))
    found["fallen"] = recorded("fallen", tmp_path / "valid", tmp_path / "cache")
    (tmp_path / "valid/data/raw/test/images.npy").write_bytes(b"others")
    found["others"] = recorded("others", tmp_path / "valid", tmp_path / "cache")
    monkeypatch.setattr(_revision, "load", lambda study, rev: found[rev])


@pytest.mark.usefixtures("revisions")
@pytest.mark.parametrize(
    ("before", "after", "status", "said"),
    [
        ("valid", "invalid", 1, ["Invalid after", "Became invalid, which --gate takes as a drop: foreground/adv"]),
        ("invalid", "valid", 0, ["Invalid before"]),
        ("invalid", "still", 0, ["Invalid before", "Invalid after"]),
    ],
)
def test_an_invalid_run_is_named_and_has_no_robust_accuracy(
    capsys: pytest.CaptureFixture[str], before: str, after: str, status: int, said: list[str]
) -> None:
    assert main(["compare", before, after, "--gate", "--markdown"]) == status
    out = capsys.readouterr().out
    rows = [line for line in out.splitlines() if "| foreground/adversarial/0 |" in line]
    assert [line.split(" | ")[1] for line in rows] == ["clean"]
    assert "8/255" not in out
    assert "foreground/adversarial/0 (E4), none/adversarial/0 (E4)" in out
    assert all(words in out for words in said)
    assert ("Became invalid" in out) is bool(status)
    assert main(["compare", before, after]) == 0


@pytest.mark.usefixtures("revisions")
def test_what_falls_to_transferred_points_became_invalid(capsys: pytest.CaptureFixture[str]) -> None:
    """The results of the run are the same byte for byte; another stage says that they are not to be believed."""
    assert main(["compare", "valid", "fallen", "--gate", "--markdown"]) == 1
    out = capsys.readouterr().out
    assert "Became invalid, which --gate takes as a drop: foreground/adversarial/0." in out
    assert "fatal checks): foreground/adversarial/0 (E29)." in out
    assert "Unchanged (the same results, byte for byte): none/adversarial/0, shifted/adversarial/0." in out
    assert main(["compare", "valid", "valid", "--gate"]) == 0


@pytest.mark.usefixtures("revisions")
@pytest.mark.parametrize(
    ("after", "said"),
    [
        ("others", "error: valid and others: other test images (data/raw/test/images.npy): not comparable.\n"),
        ("renamed", "error: valid and renamed: no run in common: not comparable.\n"),
    ],
)
def test_a_gate_does_not_pass_where_nothing_can_be_compared(
    capsys: pytest.CaptureFixture[str], after: str, said: str
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["compare", "valid", after, "--gate"])
    assert (end.value.code, capsys.readouterr().err) == (2, said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("threats: [", "params.yaml: not readable as YAML. Mend it."),
        ("- a", "params.yaml: found list, expected a mapping of sections"),
        (None, "params.yaml does not exist there: no study to compare."),
    ],
)
def test_params_that_are_none_are_a_mistake_and_no_drop(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: str | None,
    said: str,
) -> None:
    Repo.init(str(tmp_path), no_scm=True).close()
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    if content is not None:
        (tmp_path / "params.yaml").write_text(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["compare", "workspace", "--gate"])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: workspace: {said}")
