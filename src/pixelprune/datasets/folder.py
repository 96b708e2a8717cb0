"""The user's own images: a folder of class folders, or a CSV table; masks where there are any."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pixelprune.datasets.folder_listing import Item, by_folders, by_table
from pixelprune.datasets.images import decode, decode_mask, resized, resized_mask
from pixelprune.datasets.options import DatasetOptions, Progress
from pixelprune.datasets.origin import summarized
from pixelprune.datasets.split import Part, Split, hold_out, whole_groups
from pixelprune.errors import DataError
from pixelprune.sampling import numpy_generator

LIMIT = 128 * 2**20
"""Bytes of an image file."""


class Folder(DatasetOptions):
    """CLASS/NAME.png, or train/ and test/ with such folders, or a CSV; exact foreground at masks/ + the same path."""

    name: Literal["folder"]
    path: Annotated[str, Field(min_length=1, description="the folder, as seen from the folder of the study")]
    csv: Annotated[
        str | None,
        Field(min_length=1, description="table in the folder with the columns image,label[,mask][,group][,split]"),
    ] = None
    test_share: Annotated[
        float, Field(gt=0, lt=1, description="share of the images that is the test part, where none is given")
    ] = 0.2
    fit: Annotated[
        Literal["crop", "stretch"], Field(description="how an image gets square: its middle cut out, or stretched")
    ] = "crop"

    def read(self, progress: Progress) -> tuple[Split, Split, dict[str, Any]]:
        root = Path(self.path)
        if not root.is_dir():
            raise DataError(f"dataset.path: no such folder: {self.path}. Correct it; a relative path begins here.")
        items = self._parted(root, by_table(root, self.csv) if self.csv else by_folders(root))
        classes = sorted({item.label for item in items})
        digests: dict[str, str] = {}
        train = self._part(root, items, classes, "train", digests, progress)
        test = self._part(root, items, classes, "test", digests, progress)
        card = {
            "name": self.name,
            "classes": classes,
            "groups": "group" if items[0].group is not None else None,
            "masks": "given with the images" if items[0].mask is not None else None,
            "source": root.name,
            "status": "own",
            "sha256": summarized(digests),
            "terms": "The user's own images.",
        }
        return hold_out(train, self.validation, self.seed), test, card

    def _parted(self, root: Path, items: list[Item]) -> list[Item]:
        """The items, each with its part; every class has training images."""
        classes = sorted({item.label for item in items})
        if len(classes) < 2:
            raise DataError(f"{root}: found the classes {classes}, expected at least two. Add another class.")
        if items[0].part is None:
            labels = np.array([classes.index(item.label) for item in items])
            groups = np.array([_group(item) for item in items])
            chosen = whole_groups(labels, groups, self.test_share, numpy_generator(self.seed, "test"))
            items = [replace(item, part="test" if test else "train") for item, test in zip(items, chosen, strict=True)]
        for part in ("train", "test"):
            if not any(item.part == part for item in items):
                raise DataError(f"{root}: found no {part} image. Add images or groups, or change dataset.test_share.")
        grouped = {(item.group, item.part) for item in items if item.group is not None}
        for group, side in sorted(grouped, key=str):
            if side == "train" and (group, "test") in grouped:
                raise DataError(
                    f"{root}: found the group {group!r} in train and in test, expected it in one part. Correct the "
                    f"column split of {self.csv}."
                )
        training = {item.label for item in items if item.part == "train"}
        for label in classes:
            if label not in training:
                raise DataError(f"{root}: found no training image of {label!r}. Add some, or leave the class out.")
        return items

    def _part(
        self, root: Path, items: list[Item], classes: list[str], part: Part, digests: dict[str, str], progress: Progress
    ) -> Split:
        own = [item for item in items if item.part == part]
        chosen = [own[position] for position in self.chosen(_labels(own, classes), part)]
        images, masks = [], []
        for item in progress(chosen, f"read {root.name} {part}"):
            image = decode(_content(root, item.path, digests), str(root / item.path), upright=True)
            images.append(resized(self._square(image), self.size))
            if item.mask is not None:
                masks.append(resized_mask(self._square(_mask(root, item, image.shape[:2], digests)), self.size))
        return Split(
            images=np.stack(images),
            labels=_labels(chosen, classes),
            ids=np.array([_number(item.path) for item in chosen], np.int64),
            groups=np.array([_group(item) for item in chosen], np.int64),
            masks=np.stack(masks) if masks else None,
        )

    def _square(self, image: NDArray[Any]) -> NDArray[Any]:
        if self.fit == "stretch":
            return image
        height, width = image.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return image[top : top + side, left : left + side]


def _mask(root: Path, item: Item, shape: tuple[int, ...], digests: dict[str, str]) -> NDArray[np.bool_]:
    """bool (H, W)"""
    assert item.mask is not None
    where = root / item.mask
    mask = decode_mask(_content(root, item.mask, digests), str(where))
    if mask.shape != shape:
        raise DataError(f"{where}: found {mask.shape} pixels, expected {shape} as in {item.path}. Replace the mask.")
    return mask


def _content(root: Path, path: str, digests: dict[str, str]) -> bytes:
    try:
        with (root / path).open("rb") as file:
            content = file.read(LIMIT + 1)
    except OSError as error:
        raise DataError(f"{root / path}: cannot be read ({error.strerror}). Correct its permissions.") from None
    if len(content) > LIMIT:
        raise DataError(f"{root / path}: found more than {LIMIT} bytes, expected at most that. Shrink the image.")
    digests[path] = hashlib.sha256(content).hexdigest()
    return content


def _labels(items: list[Item], classes: list[str]) -> NDArray[np.int64]:
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([numbers[item.label] for item in items], np.int64)


def _group(item: Item) -> int:
    return _number(item.path if item.group is None else f"group {item.group}")


def _number(name: str) -> int:
    """A number of 52 bits that follows from the name alone: it stays when other images come and go."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 12
