"""Runs that a study no longer names go; what is somebody's own stays."""

from pathlib import Path

from pixelprune import orphans

NAMED = {"strategies": ["none"], "trainings": ["natural"], "seeds": [0], "segmenters": {}, "measures": {"psi": {}}}


def write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def test_what_no_key_names_goes(tmp_path: Path, capsys) -> None:
    kept = ["models/none/natural/0/card.json", "measures/none/natural/0/psi/summary.json", "results/.gitkeep"]
    gone = [
        "models/none/natural/1/card.json", "models/none/natural/1/model.safetensors", "models/none/other/0/card.json",
        "results/old/natural/0/checks.json", "results/old/natural/0/examples/kept_linf.npy",
        "data/segments/grabcut/card.json", "data/pruned/old/card.json", "measures/none/natural/0/fourier/summary.json",
    ]  # fmt: skip
    write(tmp_path, *kept, *gone)
    (tmp_path / "models/empty/natural").mkdir(parents=True)
    removed = orphans.remove(tmp_path, NAMED)
    assert {path.relative_to(tmp_path).as_posix() for path in removed} == {
        "models/none/natural/1", "models/none/other", "models/empty", "results/old", "data/segments/grabcut",
        "data/pruned/old", "measures/none/natural/0/fourier",
    }  # fmt: skip
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()) == sorted(kept)
    assert capsys.readouterr().out.startswith("  removed, as params.yaml does not name them: ")


def test_what_no_stage_wrote_stays(tmp_path: Path, capsys) -> None:
    own = [
        "models/pretrained/resnet.pt", "models/mine/natural/0/weights.safetensors", "results/notes/today.json",
        "models/mixed/natural/0/card.json", "models/mixed/README.md", "data/segments/by_hand/a.png",
    ]  # fmt: skip
    write(tmp_path, *own)
    assert orphans.remove(tmp_path, NAMED) == []
    assert all((tmp_path / path).exists() for path in own)
    assert capsys.readouterr().out == ""
