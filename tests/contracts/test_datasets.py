"""What every data set promises, over all members, each in every layout that it reads; and what single ones promise."""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from contracts import official
from pixelprune import params
from pixelprune.datasets import coco_annotations, split
from pixelprune.datasets.catalog import Dataset
from pixelprune.datasets.coco_annotations import outline
from pixelprune.datasets.images import decode, resized, resized_mask
from pixelprune.datasets.options import DatasetOptions
from pixelprune.errors import ArtifactError, DataError, ParamsError


def quiet(items, what):
    return items


@dataclass(frozen=True)
class Case:
    build: Callable[[Path], Path]
    options: dict
    limits: tuple[int, int]
    read: tuple[int, int]
    """Training and test images without limits."""


CIFAR = {"name": "cifar10"}
CIFAR100 = {"name": "cifar100"}
GTSRB = {"name": "gtsrb", "classes": [0, 12, 13, 14, 18]}
COCO = {"name": "coco", "categories": ["cat", "dog"], "minimum": 20}


def table(root: Path) -> Path:
    official.folder(root)
    lines = ["image,label,mask,group"]
    for label in ("ant", "bee", "cow"):
        lines += [f"{label}/{n}.png,{label},masks/{label}/{n}.png,{label}{n // 2}" for n in range(10)]
    (root / "table.csv").write_text("\n".join(lines))
    return root


CASES = {
    "signs": Case(lambda root: root, {"name": "signs", "train": 60, "test": 20}, (30, 10), (60, 20)),
    "cifar10-bin": Case(lambda root: official.unpacked(root, official.cifar_binary()), CIFAR, (50, 10), (150, 30)),
    "cifar10-py": Case(lambda root: official.unpacked(root, official.cifar_python()), CIFAR, (50, 10), (150, 30)),
    "cifar10-binary.tar.gz": Case(
        lambda root: official.tar_gz(root / "cifar-10-binary.tar.gz", official.cifar_binary()).parent,
        CIFAR,
        (50, 10),
        (150, 30),
    ),
    "cifar10-python.tar.gz": Case(
        lambda root: official.tar_gz(root / "cifar-10-python.tar.gz", official.cifar_python()).parent,
        CIFAR,
        (50, 10),
        (150, 30),
    ),
    "cifar100-bin": Case(
        lambda root: official.unpacked(root, official.cifar100_binary()), CIFAR100, (500, 100), (600, 100)
    ),
    "cifar100-py": Case(
        lambda root: official.unpacked(root, official.cifar100_python()), CIFAR100, (500, 100), (600, 100)
    ),
    "cifar100-python.tar.gz": Case(
        lambda root: official.tar_gz(root / "cifar-100-python.tar.gz", official.cifar100_python()).parent,
        CIFAR100 | {"labels": "coarse"},
        (100, 20),
        (600, 100),
    ),
    "stl10": Case(lambda root: official.unpacked(root, official.stl10()), {"name": "stl10"}, (50, 10), (60, 20)),
    "stl10_binary.tar.gz": Case(
        lambda root: official.tar_gz(root / "stl10_binary.tar.gz", official.stl10()).parent,
        {"name": "stl10"},
        (50, 10),
        (60, 20),
    ),
    "gtsrb": Case(lambda root: official.unpacked(root, official.gtsrb()), GTSRB, (30, 5), (60, 6)),
    "gtsrb-zips": Case(official.gtsrb_zips, GTSRB, (30, 5), (60, 6)),
    "coco": Case(lambda root: official.unpacked(root, official.coco()), COCO, (12, 4), (24, 8)),
    "coco-zips": Case(official.coco_zips, COCO, (12, 4), (24, 8)),
    "folder": Case(official.folder, {"name": "folder"}, (12, 3), (24, 6)),
    "folder-plain": Case(lambda root: official.folder(root, masks=False), {"name": "folder"}, (12, 3), (24, 6)),
    "folder-csv": Case(table, {"name": "folder", "csv": "table.csv"}, (12, 3), (24, 6)),
}


@pytest.fixture(params=CASES)
def case(request, tmp_path, monkeypatch) -> Callable[..., DatasetOptions]:
    """Makes the options of a case with changes; the files are there, and nothing else is in reach."""
    chosen = CASES[request.param]
    root = tmp_path / "set"
    root.mkdir()
    chosen.build(root)
    (tmp_path / "study").mkdir()
    monkeypatch.chdir(tmp_path / "study")
    monkeypatch.setenv("PIXELPRUNE_MIRROR", str(root))

    def make(**changes: object) -> DatasetOptions:
        extra = {"path": str(root)} if chosen.options["name"] == "folder" else {}
        return params.validated({"validation": 0.2, **chosen.options, **extra, **changes}, Dataset)

    make.case = chosen
    make.root = root
    return make


def test_every_member_has_a_case():
    members = {get_args(m.model_fields["name"].annotation)[0] for m in get_args(get_args(Dataset)[0])}
    assert members == {case.options["name"] for case in CASES.values()}


@pytest.mark.parametrize("size", [16, 24])
def test_arrays_keep_the_contract(case, size):
    train, test, card = case(size=size).read(quiet)
    for part, count in ((train, case.case.read[0]), (test, case.case.read[1])):
        assert part.images.shape == (count, size, size, 3)
        assert part.images.dtype == np.uint8
        for array in (part.labels, part.ids, part.groups):
            assert array.shape == (count,)
            assert array.dtype == np.int64
        assert set(part.labels) <= set(range(len(card["classes"])))
        assert part.images.std() > 10
    assert set(train.labels) == set(range(len(card["classes"])))
    assert len(np.unique(np.concatenate([train.ids, test.ids]))) == len(train) + len(test)
    assert test.validation is None


def test_masks_are_there_where_the_card_says_so(case):
    train, test, card = case().read(quiet)
    for part in (train, test):
        assert (part.masks is None) == (card["masks"] is None)
        if part.masks is not None:
            assert part.masks.dtype == bool
            assert part.masks.shape == part.images.shape[:3]
            covered = part.masks.mean(axis=(1, 2))
            assert covered.min() > 0.02
            assert covered.max() < 0.98


def test_groups_never_stand_on_both_sides(case):
    train, test, card = case().read(quiet)
    held = train.validation
    assert held.dtype == bool
    assert 0.05 < held.mean() < 0.4
    assert not set(train.groups[held]) & set(train.groups[~held])
    assert not set(train.groups) & set(test.groups)
    if card["groups"] is None:
        np.testing.assert_array_equal(train.groups, train.ids)
    else:
        assert len(np.unique(train.groups)) < len(train)


def test_same_options_same_arrays(case):
    for one, other in zip(case().read(quiet)[:2], case().read(quiet)[:2], strict=True):
        for name in ("images", "labels", "ids", "groups", "masks", "validation"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_limits_keep_the_shares_of_classes_and_the_ids(case):
    limits = dict(zip(("train", "test"), case.case.limits, strict=True))
    whole, few = case().read(quiet), case(**limits).read(quiet)
    for name, full, part in zip(limits, whole, few, strict=False):
        assert len(part) == limits[name]
        rows = {image: row for row, image in enumerate(full.ids)}
        kept = [rows[image] for image in part.ids]
        np.testing.assert_array_equal(full.images[kept], part.images)
        np.testing.assert_array_equal(full.labels[kept], part.labels)
        expected = np.bincount(full.labels) * len(part) / len(full)
        assert np.abs(np.bincount(part.labels, minlength=len(expected)) - expected).max() <= 1


def test_a_stored_set_is_the_one_that_was_read(case, tmp_path):
    train, test, card = case().read(quiet)
    split.save(tmp_path / "raw", train, test, card)
    for name, part in (("train", train), ("test", test)):
        stored = split.load(tmp_path / "raw", name)
        for array in split.STORED:
            np.testing.assert_array_equal(getattr(stored, array), getattr(part, array))
    found = split.load_card(tmp_path / "raw")
    held = int(train.validation.sum())
    assert found["counts"] == {"train": len(train) - held, "validation": held, "test": len(test)}
    assert found["size"] == [32, 32]
    assert set(found) == {
        *("name", "classes", "size", "counts", "groups", "masks", "source", "status", "sha256", "terms")
    }


def test_the_card_tells_no_path_of_this_machine(case):
    card = case().read(quiet)[2]
    assert str(case.root.parent) not in json.dumps(card)
    assert card["status"] in ("built in", "mirror", "own")


# Single members.


def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: dict[str, bytes]) -> None:
    monkeypatch.setenv("PIXELPRUNE_MIRROR", str(official.unpacked(tmp_path, members)))


def read(**options: object):
    return params.validated({"validation": 0.0, **options}, Dataset).read(quiet)


@pytest.mark.parametrize("files", [official.cifar_binary, official.cifar_python])
def test_cifar_pixels_are_those_of_the_file(tmp_path, monkeypatch, files):
    at(tmp_path, monkeypatch, files())
    train, test, _ = read(name="cifar10")
    labels, pixels = official.cifar_batches()["test_batch"]
    np.testing.assert_array_equal(test.images, pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(test.labels, labels)
    assert test.ids.tolist() == (10**9 + np.arange(30)).tolist()
    assert train.ids[[0, 29, 30, 149]].tolist() == [0, 29, 10_000, 40_029]


@pytest.mark.parametrize("files", [official.cifar100_binary, official.cifar100_python])
@pytest.mark.parametrize("kind", ["fine", "coarse"])
def test_cifar100_has_both_kinds_of_labels(tmp_path, monkeypatch, files, kind):
    at(tmp_path, monkeypatch, files())
    _, test, card = read(name="cifar100", labels=kind)
    coarse, fine, pixels = official.cifar100_parts()["test"]
    np.testing.assert_array_equal(test.images, pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(test.labels, fine if kind == "fine" else coarse)
    assert len(card["classes"]) == len(set(card["classes"])) == (100 if kind == "fine" else 20)
    assert card["classes"] == sorted(card["classes"])


def test_stl10_is_stored_column_by_column_and_its_unlabelled_photos_are_passed_over(tmp_path, monkeypatch):
    from pixelprune.datasets import stl10

    members = {"stl10_binary/unlabeled_X.bin": b"x" * 5_000_000, **official.stl10()}
    official.tar_gz(tmp_path / "stl10_binary.tar.gz", members)
    monkeypatch.setenv("PIXELPRUNE_MIRROR", str(tmp_path))
    monkeypatch.setattr(stl10, "LIMIT", 4_000_000)
    _, test, _ = read(name="stl10", size=96)
    labels, images = official.stl10_parts()["test"]
    np.testing.assert_array_equal(test.images, images)
    np.testing.assert_array_equal(test.labels, labels - 1)
    monkeypatch.setattr(stl10, "UNLABELLED", {})
    with pytest.raises(DataError, match="unlabeled_X"):
        read(name="stl10", size=96)


def test_cifar_is_official_only_with_the_official_checksums(tmp_path, monkeypatch):
    from pixelprune.datasets import cifar10, origin

    at(tmp_path, monkeypatch, official.cifar_binary())
    place = origin.Origin(quiet)
    monkeypatch.setattr(place, "_content", lambda name, limit: b"content")
    place.read("a", 9, "sha1:040f06fd774092478d450774f5ba30c5da78acc8")
    assert place.card() == {
        "status": "official",
        "sha256": {"a": "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"},
    }
    place.read("b", 9, cifar10.BINARY.files["test_batch.bin"])
    assert place.card()["status"] == "mirror"


def test_addresses_and_checksums_are_those_of_torchvision():
    from pixelprune import compat
    from pixelprune.datasets import cifar10, cifar100, stl10

    theirs = compat.torchvision().datasets.CIFAR10
    assert f"md5:{theirs.tgz_md5}" == cifar10.PYTHON.archive.checksum
    assert theirs.url == cifar10.PYTHON.archive.address
    expected = {name: f"md5:{md5}" for name, md5 in theirs.train_list + theirs.test_list}
    assert expected == cifar10.PYTHON.files
    hundred = compat.torchvision().datasets.CIFAR100
    assert (f"md5:{hundred.tgz_md5}", hundred.url) == (
        cifar100.PYTHON.archive.checksum,
        cifar100.PYTHON.archive.address,
    )
    assert cifar100.PYTHON.files == {name: f"md5:{md5}" for name, md5 in hundred.train_list + hundred.test_list}
    large = compat.torchvision().datasets.STL10
    assert (f"md5:{large.tgz_md5}", large.url) == (stl10.ARCHIVE.checksum, stl10.ARCHIVE.address)
    parts = {f"stl10_binary/{name}": f"md5:{md5}" for name, md5 in large.train_list + large.test_list}
    assert {path: parts[path] for path in stl10.FILES} == stl10.FILES


def test_gtsrb_crop_is_the_box_and_the_mask_its_outline(tmp_path, monkeypatch):
    files = official.gtsrb()
    at(tmp_path, monkeypatch, files)
    _, test, _ = read(**GTSRB, margin=0, size=23)
    photo = decode(files["GTSRB/Final_Test/Images/00000.ppm"], "photo")
    np.testing.assert_array_equal(test.images[0], resized(photo[5:29, 5:28], 23))
    _, test, _ = read(**GTSRB, margin=0, size=96)
    share = {int(label): mask.mean() for label, mask in zip(test.labels, test.masks, strict=True)}
    # Areas in a unit box; a triangle and a diamond with corners of radius r are smaller ones, each with a rim of r.
    r = 0.06
    rounded = {"triangle": 1 + 5**0.5, "diamond": 4 * 0.5**0.5}
    area = {name: 0.5 * (1 - 2 * r) ** 2 + r * (1 - 2 * r) * rim + np.pi * r**2 for name, rim in rounded.items()}
    expected = (np.pi / 4, area["diamond"], area["triangle"], 2 * (2**0.5 - 1), area["triangle"])
    assert [share[label] for label in range(5)] == pytest.approx(list(expected), abs=0.012)
    down, up = test.masks[test.labels == 2][0], test.masks[test.labels == 4][0]
    assert down[:48].sum() > 2 * down[48:].sum()
    np.testing.assert_array_equal(up, down[::-1])


def test_gtsrb_margin_moves_the_outline_inwards(tmp_path, monkeypatch):
    at(tmp_path, monkeypatch, official.gtsrb())
    _, test, _ = read(**GTSRB, margin=0.1, size=64)
    rows, columns = np.nonzero(test.masks[0])
    # Box 5..28 x 5..29, crop 3..30 x 3..31.
    assert columns.min() == pytest.approx(64 * 2 / 27, abs=1.5)
    assert columns.max() + 1 == pytest.approx(64 * 25 / 27, abs=1.5)
    assert rows.max() + 1 == pytest.approx(64 * 26 / 28, abs=1.5)


def test_gtsrb_classes_are_relabelled_in_their_order(tmp_path, monkeypatch):
    at(tmp_path, monkeypatch, official.gtsrb())
    train, test, card = read(name="gtsrb", classes=[14, 0])
    assert card["classes"] == ["stop", "speed limit 20"]
    assert test.labels.tolist() == [1, 0, 1]
    assert set(train.groups[train.labels == 0]) == {14_000, 14_001, 14_002}


def test_coco_crops_rectangles_exactly(tmp_path, monkeypatch):
    files = official.coco()
    at(tmp_path, monkeypatch, files)
    _, test, _ = read(**COCO, margin=0, size=32)
    first = np.flatnonzero(test.ids == 10**9 + 10_010)[0]
    photo = decode(files["val2017/000000001001.jpg"], "photo")
    np.testing.assert_array_equal(test.images[first], photo[20:52, 10:42])
    assert test.masks[first].all()
    # 36 x 32 pixels in a square of 36: what is left of it lies above and below.
    second = test.masks[first + 1]
    assert second[:, 16].mean() == pytest.approx(32 / 36, abs=0.04)
    assert second[16].all()


def test_coco_reads_run_lengths_as_pycocotools_writes_them():
    from pycocotools import mask

    generator = np.random.default_rng(0)
    for drawn in (generator.random((60, 80)) < 0.3, np.zeros((60, 80), bool), np.ones((60, 80), bool)):
        coded = mask.encode(np.asfortranarray(drawn.astype(np.uint8)))["counts"].decode()
        np.testing.assert_array_equal(outline(found(coded), "table"), drawn)


@pytest.mark.parametrize("text", ["", "555", "1000000o", "é", "55P"])
def test_coco_refuses_run_lengths_that_are_not_of_the_photo(text):
    with pytest.raises(DataError, match=r"table: annotation id 7: run lengths .* The table is damaged"):
        outline(found(text), "table")


def found(counts):
    return coco_annotations.Found(
        **{field.name: None for field in fields(coco_annotations.Found)}
        | {"id": 7, "shape": (60, 80), "segmentation": {"size": [60, 80], "counts": counts}}
    )


def test_coco_leaves_out_crowds_and_what_is_small(tmp_path, monkeypatch):
    at(tmp_path, monkeypatch, official.coco())
    train, _, _ = read(**COCO)
    assert set(train.ids % 10) == {0, 1}
    assert set(train.groups) == set(range(1, 13))


def test_coco_square_larger_than_the_photo_has_its_mask_inside_only(tmp_path, monkeypatch):
    at(tmp_path, monkeypatch, official.coco())
    _, test, _ = read(**COCO, margin=1.0, size=96)
    assert test.masks.any(axis=(1, 2)).all()
    assert not test.masks[:, 0].any()


def test_folder_with_parts_and_one_channel(tmp_path):
    for part in ("train", "test"):
        official.folder(tmp_path / part, masks=False)
    train, test, card = read(name="folder", path=str(tmp_path), size=20)
    assert (len(train), len(test)) == (30, 30)
    grey = train.images[train.labels == 1]
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    assert card["classes"] == ["ant", "bee", "cow"]


def test_folder_masks_of_ones_and_of_255_mean_the_same(tmp_path):
    train, test, _ = read(name="folder", path=str(official.folder(tmp_path)), fit="stretch", size=32)
    masks = np.concatenate([train.masks, test.masks])
    assert masks[:, 16, 16].all()
    assert not masks[:, 0].any()


@pytest.mark.parametrize("kind", ["16 bits", "16 bits of ones", "palette", "colors", "one bit"])
def test_folder_masks_of_any_depth_mean_the_same(tmp_path, kind):
    inside = np.zeros((8, 8), bool)
    inside[2:6, 3:7] = True
    for number in range(4):
        for place, content in (("", np.full((8, 8), 40 * number, np.uint8)), ("masks/", _mask_file(inside, kind))):
            path = tmp_path / f"{place}{'ab'[number % 2]}/{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = content if isinstance(content, Image.Image) else Image.fromarray(content)
            image.save(path)
    train, test, _ = read(name="folder", path=str(tmp_path), fit="stretch", size=8, test_share=0.5)
    for part in (train, test):
        assert (part.masks == inside).all()


def _mask_file(inside, kind):
    if kind.startswith("16 bits"):
        return inside.astype(np.uint16) * (1 if kind.endswith("ones") else 65535)
    if kind == "palette":
        image = Image.fromarray(inside.astype(np.uint8), "P")
        image.putpalette([0, 0, 0, 200, 30, 30])
        return image
    if kind == "colors":
        return np.stack([inside * 200, inside * 30, inside * 30], 2).astype(np.uint8)
    return Image.fromarray(inside)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_folder_masks_with_an_alpha_channel_are_refused(tmp_path, mode):
    root = official.folder(tmp_path)
    path = next((root / "masks").rglob("*.png"))
    Image.open(path).convert(mode).save(path)
    with pytest.raises(DataError, match="found a mask with an alpha channel"):
        read(name="folder", path=str(root))


def test_folder_two_images_with_one_mask_are_refused(tmp_path):
    root = official.folder(tmp_path)
    image = next(path for path in (root / "ant").iterdir() if path.suffix == ".png")
    Image.open(image).save(image.with_suffix(".bmp"))
    with pytest.raises(DataError, match=r"found the mask of .* and of .* Rename one image"):
        read(name="folder", path=str(root))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("train", "val"), r"found train/.* in the class 'train', expected class folders, or train/ and test/"),
        (("train", "test", "val"), "val: found a third part beside train/ and test/"),
    ],
)
def test_folder_parts_are_no_classes(tmp_path, parts, message):
    for part in parts:
        official.folder(tmp_path / part, masks=False)
    with pytest.raises(DataError, match=message):
        read(name="folder", path=str(tmp_path))


@pytest.mark.parametrize("shape", [(30, 300), (300, 30)])
def test_a_side_that_shrinks_is_averaged_also_where_the_other_grows(shape):
    stripes = np.zeros((30, 300), bool)
    stripes[:, ::3] = True
    mask = stripes if shape == (30, 300) else stripes.T
    assert not resized_mask(np.ascontiguousarray(mask), 32).any()  # a third of each pixel's area
    picture = np.repeat(mask[..., None], 3, 2).astype(np.uint8) * 240
    assert abs(resized(picture, 32).astype(int) - 80).max() <= 30


def test_folder_groups_of_a_table_stay_together(tmp_path):
    train, test, card = read(name="folder", path=str(table(tmp_path)), csv="table.csv", test_share=0.4)
    assert card["groups"] == "group"
    assert not set(train.groups) & set(test.groups)
    assert np.unique(test.groups, return_counts=True)[1].tolist() == [2] * 6


def test_folder_ids_stay_when_images_are_added(tmp_path):
    root = official.folder(tmp_path, masks=False)
    before = np.concatenate([part.ids for part in read(name="folder", path=str(root))[:2]])
    official.unpacked(root, {"ant/new.png": (root / "ant/0.png").read_bytes()})
    after = np.concatenate([part.ids for part in read(name="folder", path=str(root))[:2]])
    assert set(before) < set(after)
    assert len(after) == len(before) + 1


def test_hold_out_takes_its_share_of_every_class():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 5, 4000)
    groups = labels * 1000 + generator.integers(0, 60, 4000)
    images = np.zeros((4000, 8, 8, 3), np.uint8)
    held = split.hold_out(split.Split(images, labels, np.arange(4000), groups), 0.15, 7).validation
    for label in range(5):
        assert held[labels == label].mean() == pytest.approx(0.15, abs=0.02)
    assert not set(groups[held]) & set(groups[~held])
    assert not split.hold_out(split.Split(images, labels, np.arange(4000), groups), 0.0, 7).validation.any()


def test_nothing_to_hold_out_is_said():
    part = split.Split(np.zeros((4, 8, 8, 3), np.uint8), np.array([0, 0, 1, 1]), np.arange(4), np.array([0, 0, 1, 1]))
    with pytest.raises(DataError) as raised:
        split.hold_out(part, 0.1, 0)
    assert str(raised.value) == (
        "dataset.validation: found 4 training images in 2 groups, none of which fits into a share of 0.1. Give more "
        "images, a larger share, or 0 for no validation part."
    )


def test_saving_what_contradicts_itself_is_a_bug(tmp_path):
    part = split.Split(np.zeros((2, 8, 8, 3), np.uint8), np.array([0, 1]), np.arange(2), np.arange(2))
    with pytest.raises(ValueError, match="an image occurs twice"):
        split.save(tmp_path, part, part, {"classes": ["a", "b"]})


def test_a_stored_part_with_rows_missing_is_refused(tmp_path):
    part = split.Split(np.zeros((2, 8, 8, 3), np.uint8), np.array([0, 1]), np.arange(2), np.arange(2))
    other = split.Split(part.images, part.labels, part.ids + 5, part.groups)
    split.save(tmp_path, part, other, {"classes": ["a", "b"]})
    np.save(tmp_path / "test" / "labels.npy", np.zeros(1, np.int64))
    with pytest.raises(ArtifactError, match=r"found 1 rows, expected 2 as in images\.npy"):
        split.load(tmp_path, "test")


def test_options_name_every_mistake_at_once():
    wrong = {"name": "gtsrb", "classes": [1, 43], "margin": 2.0, "sise": 32, "validation": 0.9}
    with pytest.raises(ParamsError) as raised:
        params.validated(wrong, Dataset, "dataset.")
    lines = str(raised.value).splitlines()
    assert lines[0] == "params.yaml: 4 to fix"
    assert any("sise: no such key; did you mean 'size'?" in line for line in lines)
