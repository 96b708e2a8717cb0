"""CIFAR-10: 60,000 photos of 32x32 pixels in ten classes.

**Source:** A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009;
https://www.cs.toronto.edu/~kriz/cifar.html. The binary or the Python version; no pickle is ever loaded: the opcodes of
the Python version are read as data.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelprune.datasets.archives import read_tar
from pixelprune.datasets.cifar10_pickle import read_batch
from pixelprune.datasets.images import resized
from pixelprune.datasets.mirror import absent, origin
from pixelprune.datasets.options import DatasetOptions, Progress
from pixelprune.datasets.origin import Archive, Origin
from pixelprune.datasets.split import Part, Split, hold_out
from pixelprune.errors import DataError

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
ROWS = 10_000
"""Images of an official file; subsets hold fewer."""
SIDE = 32
PIXEL_BYTES = 3 * SIDE * SIDE
LIMIT = 40 * 2**20
TEST_IDS = 10**9


@dataclass(frozen=True)
class Version:
    """One form of the set; `files` are five training batches and the test batch, with their official checksums."""

    folder: str
    archive: Archive
    files: dict[str, str]


BINARY = Version(
    "cifar-10-batches-bin",
    Archive(
        "cifar-10-binary.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "md5:c32a1d4ab5d03f1284b67883e8d87530",
    ),
    {
        "data_batch_1.bin": "sha1:aadd24acce27caa71bf4b10992e9e7b2d74c2540",
        "data_batch_2.bin": "sha1:c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
        "data_batch_3.bin": "sha1:1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
        "data_batch_4.bin": "sha1:aab85764eb3584312d3c7f65fd2fd016e36a258e",
        "data_batch_5.bin": "sha1:26e2849e66a845b7f1e4614ae70f4889ae604628",
        "test_batch.bin": "sha1:67eb016db431130d61cd03c7ad570b013799c88c",
    },
)
PYTHON = Version(
    "cifar-10-batches-py",
    Archive(
        "cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "md5:c58f30108f718f92721af3b95e74349a",
    ),
    {
        "data_batch_1": "md5:c99cafc152244af753f735de768cd75f",
        "data_batch_2": "md5:d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "md5:54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "md5:634d18415352ddfa80567beed471001a",
        "data_batch_5": "md5:482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "md5:40351d587109b95175f43aff81a1287e",
    },
)


class Cifar10(DatasetOptions):
    """Photos of ten kinds of animals and vehicles; every image stands alone, nothing is annotated."""

    name: Literal["cifar10"]

    def read(self, progress: Progress) -> tuple[Split, Split, dict[str, Any]]:
        place = origin(progress)
        batches = [_parsed(content, where) for where, content in _files(place, progress).items()]
        train = self._part(batches[:-1], "train")
        test = self._part(batches[-1:], "test")
        card = {
            "name": self.name,
            "classes": CLASSES,
            "groups": None,
            "masks": None,
            "source": "CIFAR-10, https://www.cs.toronto.edu/~kriz/cifar.html",
            "terms": "No licence is stated by its makers; cite A. Krizhevsky, Learning Multiple Layers of Features "
            "from Tiny Images, 2009.",
            **place.card(),
        }
        return hold_out(train, self.validation, self.seed), test, card

    def _part(self, batches: list[tuple[NDArray[np.uint8], NDArray[np.int64]]], part: Part) -> Split:
        labels = np.concatenate([labels for _, labels in batches])
        images = np.concatenate([images for images, _ in batches])
        # The official row number: stable under limits, and in a subset that keeps whole batches apart.
        ids = np.concatenate([number * ROWS + np.arange(len(labels)) for number, (_, labels) in enumerate(batches)])
        kept = self.chosen(labels, part)
        ids = ids[kept] + (TEST_IDS if part == "test" else 0)
        pixels = np.stack([resized(image, self.size) for image in images[kept]])
        return Split(images=pixels, labels=labels[kept], ids=ids, groups=ids)


def _files(place: Origin, progress: Progress) -> dict[str, bytes]:
    """Path -> content of the six files, training first, from the first form that the place has."""
    versions = (BINARY, PYTHON)
    for version in versions:
        paths = {f"{version.folder}/{name}": checksum for name, checksum in version.files.items()}
        if place.has(list(paths)[-1]):
            names = list(paths)
            return {path: place.read(path, LIMIT, paths[path]) for path in progress(names, "read CIFAR-10")}
    for version in versions:
        if not place.mirrored or place.has(version.archive.name):
            paths = {f"{version.folder}/{name}": checksum for name, checksum in version.files.items()}
            contents = read_tar(place.archive(version.archive), paths, LIMIT)
            return {path: contents[path] for path in paths}
    raise absent(place, "CIFAR-10", [f"{v.folder}/" for v in versions] + [v.archive.name for v in versions])


def _parsed(content: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 (N, 32, 32, 3) and labels int64 (N,) of a batch in either form."""
    if where.endswith(".bin"):
        if not content or len(content) % (1 + PIXEL_BYTES):
            raise DataError(f"{where}: found {len(content)} bytes, expected a multiple of {1 + PIXEL_BYTES}. {_AGAIN}")
        rows = np.frombuffer(content, np.uint8).reshape(-1, 1 + PIXEL_BYTES)
        labels, pixels = rows[:, 0].astype(np.int64), rows[:, 1:]
    else:
        labels, pixels = read_batch(content, where, PIXEL_BYTES)
    if len(labels) > ROWS or labels.min() < 0 or labels.max() >= len(CLASSES):
        raise DataError(
            f"{where}: found {len(labels)} images with labels {labels.min()} to {labels.max()}, expected at most "
            f"{ROWS} with labels 0 to {len(CLASSES) - 1}. {_AGAIN}"
        )
    return pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), labels


_AGAIN = "The file is damaged: fetch it again."
