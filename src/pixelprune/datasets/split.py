"""A part of a data set, training or test, as arrays; how it is stored between stages, and how groups are held out."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelprune import artifacts
from pixelprune.errors import ArtifactError, DataError
from pixelprune.sampling import numpy_generator

Part = Literal["train", "test"]

STORED = {
    "images": ("uint8", "N H W 3"),
    "labels": ("int64", "N"),
    "ids": ("int64", "N"),
    "groups": ("int64", "N"),
    "masks": ("bool", "N H W"),
    "validation": ("bool", "N"),
}
OPTIONAL = ("masks", "validation")


@dataclass(frozen=True)
class Split:
    """N images, RGB, all of one size; row i of every array belongs to image i."""

    images: NDArray[np.uint8]
    """uint8 (N, H, W, 3), RGB."""
    labels: NDArray[np.int64]
    """int64 (N,), positions in the list of classes."""
    ids: NDArray[np.int64]
    """int64 (N,), unique over training and test part together; they do not change with the limits."""
    groups: NDArray[np.int64]
    """int64 (N,): photo, track or the like; equal to `ids` where every image stands alone."""
    masks: NDArray[np.bool_] | None = None
    """bool (N, H, W), true = foreground; None where the set is not annotated."""
    validation: NDArray[np.bool_] | None = None
    """bool (N,), true = held out from training; None in a test part."""

    def __len__(self) -> int:
        return len(self.labels)


def save(folder: Path, train: Split, test: Split, card: dict[str, Any]) -> None:
    """Writes folder/{train,test}/*.npy and, last, folder/card.json with the counts and the image size.

    Raises ValueError where the parts contradict each other: that is a bug of the data set's reader.
    """
    _check(train, test, len(card["classes"]))
    for name, split in (("train", train), ("test", test)):
        for array in STORED:
            content, path = getattr(split, array), folder / name / f"{array}.npy"
            if content is not None:
                artifacts.save_array(path, content)
            else:
                path.unlink(missing_ok=True)
    held_out = 0 if train.validation is None else int(train.validation.sum())
    counts = {"train": len(train) - held_out, "validation": held_out, "test": len(test)}
    artifacts.save_json(folder / "card.json", {**card, "counts": counts, "size": list(train.images.shape[1:3])})


def load(folder: Path, name: Part) -> Split:
    """A stored part, its arrays mapped read-only. Raises ArtifactError where a file is missing or disagrees."""
    arrays: dict[str, Any] = {}
    for array, (dtype, dims) in STORED.items():
        path = folder / name / f"{array}.npy"
        if array in OPTIONAL and not path.exists():
            continue
        arrays[array] = artifacts.load_array(path, dtype, dims)
        if len(arrays[array]) != len(arrays["images"]):
            raise ArtifactError(
                f"{path}: found {len(arrays[array])} rows, expected {len(arrays['images'])} as in images.npy. "
                f"{artifacts.AGAIN}"
            )
    return Split(**arrays)


def load_card(folder: Path) -> dict[str, Any]:
    """What is known of the set: name, classes, size, counts, groups, masks, source, status, sha256, terms."""
    return dict(artifacts.load_json(folder / "card.json"))


def hold_out(split: Split, share: float, seed: int) -> Split:
    """The same images with `validation` set: whole groups, about `share` of every class. share 0: none.

    Raises DataError where no group is small enough to be held out.
    """
    chosen = whole_groups(split.labels, split.groups, share, numpy_generator(seed, "validation"))
    if share > 0 and not chosen.any():
        raise DataError(
            f"dataset.validation: found {len(split)} training images in {len(np.unique(split.groups))} groups, none of "
            f"which fits into a share of {share:g}. Give more images, a larger share, or 0 for no validation part."
        )
    return replace(split, validation=chosen)


def whole_groups(
    labels: NDArray[np.int64], groups: NDArray[np.int64], share: float, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """bool (N,): random whole groups that hold about `share` of each class.

    A group is taken if that brings the counts of its classes nearer to what is wanted, so a class of few, large
    groups may be left out altogether.
    """
    chosen = np.zeros(len(labels), bool)
    wanted = share * np.bincount(labels)
    by_group = np.argsort(groups, kind="stable")
    members = np.split(by_group, np.flatnonzero(np.diff(groups[by_group])) + 1)
    for position in generator.permutation(len(members)):
        rows = members[position]
        classes, counts = np.unique(labels[rows], return_counts=True)
        if np.abs(wanted[classes] - counts).sum() < np.abs(wanted[classes]).sum():
            chosen[rows] = True
            wanted[classes] -= counts
    return chosen


def _check(train: Split, test: Split, classes: int) -> None:
    for name, split in (("train", train), ("test", test)):
        for array, (dtype, dims) in STORED.items():
            content = getattr(split, array)
            if content is None and array in OPTIONAL:
                continue
            if content.dtype != dtype or content.ndim != len(dims.split()) or len(content) != len(split):
                raise ValueError(f"{name}.{array}: {content.dtype} {content.shape}, expected {dtype} ({dims})")
        if split.labels.size and not 0 <= split.labels.min() <= split.labels.max() < classes:
            raise ValueError(f"{name}.labels: outside of 0..{classes - 1}")
    ids = np.concatenate([train.ids, test.ids])
    if len(np.unique(ids)) != len(ids):
        raise ValueError("ids: an image occurs twice")
    if train.images.shape[1:] != test.images.shape[1:] or (train.masks is None) != (test.masks is None):
        raise ValueError("training and test images differ in size or in having masks")
