"""Files and folders that are missing, damaged or not writable: exit status 2, one message, nothing half-written.

Each case is a stage in a copy of a finished study; two of them as processes, whose exit is the shell's.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_study

AGAIN = "Delete it and run `dvc repro`."
FETCH = "Run `dvc repro`, or `dvc pull` to fetch it."


Refused = Callable[..., str]


@pytest.fixture
def refused(monkeypatch, capsys) -> Refused:
    """Calls a stage that must refuse and returns its message; the folder is as it was."""

    def call(folder: Path, *words: str) -> str:
        before = tiny_study.outputs(folder)
        monkeypatch.chdir(folder)
        with pytest.raises(SystemExit) as ending:
            tiny_study.call(*words)
        said = capsys.readouterr()
        assert (ending.value.code, said.out) == (2, "")
        return judged(folder, before, said.err)

    return call


def judged(folder: Path, before: dict[str, str], error: str) -> str:
    assert error.startswith("error: ") and error.count("error: ") == 1 and error.endswith("\n")
    assert "Traceback" not in error
    assert tiny_study.outputs(folder) == before
    assert not [path for path in folder.rglob(".*") if path.name != ".pixelprune"]
    return error.removeprefix("error: ").removesuffix("\n")


def test_a_refusal_as_a_process(study: Path) -> None:
    path = study / "data/pruned/foreground/test.npy"
    path.write_bytes(path.read_bytes()[:-1])
    before = tiny_study.outputs(study)
    status, out, error = tiny_study.run(study, "attack", "foreground", "natural", "0")
    assert (status, out) == (2, "")
    message = judged(study, before, error)
    assert message.startswith("data/pruned/foreground/test.npy: not a whole .npy file (") and message.endswith(AGAIN)


def with_nan(path: Path) -> None:
    values = np.load(path)
    values[3, 4, 5] = np.nan
    np.save(path, values)


def test_nan_in_a_saved_map(refused: Refused, study: Path) -> None:
    with_nan(study / "data/maps/foreground/test.npy")
    assert refused(study, "prune", "foreground") == (
        "data/maps/foreground/test.npy: found 1 values that are not finite, expected a rank for every pixel. " + AGAIN
    )


def test_nan_in_segments(refused: Refused, study: Path) -> None:
    with_nan(study / "data/segments/outline/train.npy")
    message = refused(study, "importance", "foreground")
    assert message == (
        "data/segments/outline/train.npy: found (120, 24, 24), 1 values nan; expected a finite value for each pixel of "
        "120 images. " + AGAIN
    )


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("data/raw/test/images.npy", ("segment", "outline")),
        ("data/maps/foreground/train.npy", ("prune", "foreground")),
        ("data/pruned/foreground/test.npy", ("attack", "foreground", "natural", "0")),
    ],
)
@pytest.mark.parametrize("length", [0, 20, -1], ids=["empty", "within the header", "a byte short"])
def test_a_truncated_array(refused: Refused, study: Path, path: str, words: tuple[str, ...], length: int) -> None:
    content = (study / path).read_bytes()
    (study / path).write_bytes(content[:length])
    message = refused(study, *words)
    assert message.startswith(f"{path}: not a whole .npy file (") and message.endswith(AGAIN)


def test_missing_weights(refused: Refused, study: Path) -> None:
    path = "models/foreground/natural/0/model.safetensors"
    (study / path).unlink()
    assert refused(study, "attack", "foreground", "natural", "0") == f"{path}: no such file. {FETCH}"


def test_missing_weights_of_the_full_model(refused: Refused, study: Path) -> None:
    path = "models/none/natural/0/card.json"
    (study / path).unlink()
    assert refused(study, "attack", "foreground", "natural", "0") == f"{path}: no such file. {FETCH}"


def test_damaged_weights(refused: Refused, study: Path) -> None:
    path = study / "models/none/natural/0/model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    message = refused(study, "attack", "none", "natural", "0")
    assert message.startswith("models/none/natural/0/model.safetensors: not a whole safetensors file (")


def test_an_output_folder_that_is_a_file(refused: Refused, study: Path) -> None:
    tree = study / "data/pruned/none"
    for path in tree.iterdir():
        path.unlink()
    tree.rmdir()
    tree.write_bytes(b"")
    assert refused(study, "prune", "none") == "data/pruned/none: cannot be written (File exists)."


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_output_folder(refused: Refused, study: Path) -> None:
    folder = study / "data/pruned/none"
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert refused(study, "prune", "none") == "data/pruned/none: cannot be written (Permission denied)."
    finally:
        folder.chmod(0o755)


def test_a_mirror_that_does_not_exist(refused: Refused, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "params.yaml").write_text("dataset: {name: gtsrb, size: 32}\n", encoding="utf-8")
    monkeypatch.setenv("PIXELPRUNE_MIRROR", "/no/where")
    message = refused(tmp_path, "download")
    assert message.startswith("PIXELPRUNE_MIRROR: no such folder: /no/where. Expected a folder, or an https address, ")
    assert not (tmp_path / "data").exists()


def own_images(folder: Path) -> None:
    """Six images of two classes, each with its mask."""
    draws = np.random.default_rng(0)
    for label in ("cat", "dog"):
        for kind in ("own", "own/masks"):
            (folder / kind / label).mkdir(parents=True, exist_ok=True)
        for number in range(3):
            image = draws.integers(0, 256, (24, 24, 3), np.uint8)
            cv2.imwrite(str(folder / "own" / label / f"{number}.png"), image)
            cv2.imwrite(str(folder / "own/masks" / label / f"{number}.png"), image[..., 0])


def no_mask(folder: Path) -> None:
    (folder / "own/masks/dog/1.png").unlink()


def small_mask(folder: Path) -> None:
    cv2.imwrite(str(folder / "own/masks/dog/1.png"), np.zeros((5, 5), np.uint8))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_mask, "own/masks/dog/1.png: no such mask, expected one for every image, here for dog/1.png. Add it, or "
         "take the folder masks away."),
        (small_mask, "own/masks/dog/1.png: found (5, 5) pixels, expected (24, 24) as in dog/1.png. Replace the mask."),
    ],
)  # fmt: skip
def test_own_images_with_a_mask_that_does_not_fit(
    refused: Refused, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    (tmp_path / "params.yaml").write_text(
        "dataset: {name: folder, path: own, size: 24, validation: 0, test_share: 0.34}\n", encoding="utf-8"
    )
    own_images(tmp_path)
    damage(tmp_path)
    assert refused(tmp_path, "download") == message
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("stage", ["transfer", "report"])
def test_a_section_that_is_missing_removes_no_run(refused: Refused, study: Path, stage: str) -> None:
    """Both remove the runs that params.yaml does not name; without `seeds` it would name none."""
    tiny_study.edit(study, "seeds: [0]\n", "")
    assert refused(study, stage).startswith("params.yaml: no seeds; the top level has: ")


def test_a_seed_that_is_no_number(refused: Refused, study: Path) -> None:
    message = refused(study, "train", "none", "natural", "first")
    assert message == "SEED: found 'first', expected a whole number, as `seeds` of params.yaml lists them"
