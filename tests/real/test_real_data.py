"""The real sets, from the mirror that PIXELPRUNE_MIRROR names."""

import os
from pathlib import Path

import numpy as np
import pytest

from pixelprune import params
from pixelprune.datasets.catalog import Dataset

pytestmark = pytest.mark.skipif(
    not os.environ.get("PIXELPRUNE_MIRROR"), reason="needs PIXELPRUNE_MIRROR: a mirror of the real data sets"
)


def read(**options: object):
    return params.validated(options, Dataset).read(lambda items, what: items)


def sound(train, test, card) -> None:
    assert len(np.unique(np.concatenate([train.ids, test.ids]))) == len(train) + len(test)
    held = train.validation
    assert not set(train.groups[held]) & set(train.groups[~held])
    assert not set(train.groups) & set(test.groups)
    assert set(train.labels) == set(range(len(card["classes"])))
    assert train.images.mean() > 30


def test_cifar10_counts():
    train, test, card = read(name="cifar10")
    sound(train, test, card)
    official = card["status"] == "official"
    assert (len(train), len(test)) == ((50_000, 10_000) if official else (12_500, 2_500))
    assert len(np.unique(np.bincount(train.labels))) == 1


def test_cifar10_is_the_same_in_every_form(tmp_path, monkeypatch):
    mirror = Path(os.environ["PIXELPRUNE_MIRROR"]).absolute()
    reference = read(name="cifar10", train=500)
    for name in ("cifar-10-batches-py", "cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"):
        if not (mirror / name).exists():
            pytest.skip(f"the mirror has no {name}")
        (tmp_path / name).mkdir()
        (tmp_path / name / name).symlink_to(mirror / name)
        monkeypatch.setenv("PIXELPRUNE_MIRROR", str(tmp_path / name))
        for part, expected in zip(read(name="cifar10", train=500)[:2], reference[:2], strict=True):
            np.testing.assert_array_equal(part.images, expected.images)
            np.testing.assert_array_equal(part.labels, expected.labels)


def test_gtsrb_counts_and_tracks():
    train, test, card = read(name="gtsrb")
    sound(train, test, card)
    if card["status"] != "official":
        assert (len(train), len(test)) == (8_165, 2_519)
        assert len(np.unique(train.groups)) == 1_290
    assert 0.05 < train.validation.mean() < 0.15
    # Every class has something in both parts: a class has seven tracks or more.
    assert set(train.labels[train.validation]) == set(range(43))
    assert set(train.labels[~train.validation]) == set(range(43))
    # Signs are brighter or more colourful than what is around them.
    inside = train.images[train.masks].std(axis=1).mean()
    outside = train.images[~train.masks].std(axis=1).mean()
    assert inside > 1.1 * outside


def test_gtsrb_subset_of_classes():
    train, test, card = read(name="gtsrb", classes=[14, 12, 13], train=100, test=30)
    assert card["classes"] == ["stop", "priority road", "yield"]
    assert (len(train), len(test)) == (100, 30)


def test_coco_crops():
    train, test, card = read(name="coco", categories=["person", "chair", "cup"], size=48)
    sound(train, test, card)
    if card["status"] != "official":
        assert np.bincount(train.labels).tolist() == [154, 54, 37]
        assert np.bincount(test.labels).tolist() == [171, 34, 25]
    assert 0.1 < train.masks.mean() < 0.8


def test_coco_larger_objects_only():
    train, _, card = read(name="coco", categories=["person", "cup"], minimum=64, train=60)
    if card["status"] != "official":
        assert len(train) == 60
