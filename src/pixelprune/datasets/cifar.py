"""What CIFAR-10 and CIFAR-100 share: the files of a version, as folder or archive, and the rows in them.

**Source:** A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009;
https://www.cs.toronto.edu/~kriz/cifar.html. No pickle is ever loaded: the opcodes of the Python versions are read as
data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelprune.datasets.archives import read_tar
from pixelprune.datasets.cifar_pickle import read_batch
from pixelprune.datasets.images import resized
from pixelprune.datasets.mirror import absent
from pixelprune.datasets.options import DatasetOptions, Progress
from pixelprune.datasets.origin import Archive, Origin
from pixelprune.datasets.split import Part, Split
from pixelprune.errors import DataError

SIDE = 32
PIXEL_BYTES = 3 * SIDE * SIDE
TEST_IDS = 10**9


@dataclass(frozen=True)
class Version:
    """One form of a set; `files` are the training batches and, last, the test batch, with their official checksums,
    where the world knows them.
    """

    folder: str
    archive: Archive
    files: dict[str, str | None]

    @property
    def paths(self) -> dict[str, str | None]:
        return {f"{self.folder}/{name}": checksum for name, checksum in self.files.items()}


@dataclass(frozen=True)
class Rows:
    """How to read a batch. The binary version has so many bytes of labels in front of each image; one is asked for."""

    name: str
    images: int
    """Of an official file; subsets hold fewer."""
    label_bytes: int
    label_byte: int
    key: str
    """Of the labels in the Python version."""
    classes: int

    def parsed(self, content: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images uint8 (N, 32, 32, 3) and labels int64 (N,) of a batch in either form."""
        if where.endswith(".bin"):
            width = self.label_bytes + PIXEL_BYTES
            if not content or len(content) % width:
                raise DataError(f"{where}: found {len(content)} bytes, expected a multiple of {width}. {_AGAIN}")
            rows = np.frombuffer(content, np.uint8).reshape(-1, width)
            labels, pixels = rows[:, self.label_byte].astype(np.int64), rows[:, self.label_bytes :]
        else:
            labels, pixels = read_batch(content, where, PIXEL_BYTES, self.key)
        if len(labels) > self.images or labels.min() < 0 or labels.max() >= self.classes:
            raise DataError(
                f"{where}: found {len(labels)} images with labels {labels.min()} to {labels.max()}, expected at most "
                f"{self.images} with labels 0 to {self.classes - 1}. {_AGAIN}"
            )
        return pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), labels


def read(
    options: DatasetOptions, place: Origin, versions: Sequence[Version], rows: Rows, progress: Progress
) -> tuple[Split, Split]:
    """The training part, nothing held out, and the test part."""
    batches = [rows.parsed(content, where) for where, content in _files(place, versions, rows, progress).items()]
    return _part(options, batches[:-1], "train", rows.images), _part(options, batches[-1:], "test", rows.images)


def _part(options: DatasetOptions, batches: Sequence[Any], part: Part, each: int) -> Split:
    labels = np.concatenate([labels for _, labels in batches])
    images = np.concatenate([images for images, _ in batches])
    # The official row number: stable under limits, and in a subset that keeps whole batches apart.
    ids = np.concatenate([number * each + np.arange(len(labels)) for number, (_, labels) in enumerate(batches)])
    kept = options.chosen(labels, part)
    ids = ids[kept] + (TEST_IDS if part == "test" else 0)
    pixels = np.stack([resized(image, options.size) for image in images[kept]])
    return Split(images=pixels, labels=labels[kept], ids=ids, groups=ids)


def _files(place: Origin, versions: Sequence[Version], rows: Rows, progress: Progress) -> dict[str, bytes]:
    """Path -> content of the files, training first, from the first form that the place has."""
    limit = rows.images * (PIXEL_BYTES + 64) + 2**23
    for version in versions:
        paths = version.paths
        if place.has(list(paths)[-1]):
            return {path: place.read(path, limit, paths[path]) for path in progress(list(paths), f"read {rows.name}")}
    for version in versions:
        if not place.mirrored or place.has(version.archive.name):
            contents = read_tar(place.archive(version.archive), version.paths, limit)
            return {path: contents[path] for path in version.paths}
    raise absent(place, rows.name, [f"{v.folder}/" for v in versions] + [v.archive.name for v in versions])


_AGAIN = "The file is damaged: fetch it again."
