"""STL-10: 13,000 labelled photos of 96x96 pixels in ten classes; the 100,000 unlabelled ones are left alone.

**Source:** A. Coates, H. Lee, A. Ng, An Analysis of Single-Layer Networks in Unsupervised Feature Learning,
AISTATS 2011; https://cs.stanford.edu/~acoates/stl10.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelprune.datasets.archives import read_tar
from pixelprune.datasets.images import resized
from pixelprune.datasets.mirror import absent, origin
from pixelprune.datasets.options import DatasetOptions, Progress
from pixelprune.datasets.origin import Archive, Origin
from pixelprune.datasets.split import Part, Split, hold_out
from pixelprune.errors import DataError

CLASSES = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
SIDE = 96
PIXEL_BYTES = 3 * SIDE * SIDE
ROWS = 8_000
"""Images of the larger part; subsets hold fewer."""
LIMIT = ROWS * PIXEL_BYTES
TEST_IDS = 10**9
FOLDER = "stl10_binary"
ARCHIVE = Archive(
    "stl10_binary.tar.gz",
    "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    "md5:91f7769df0f17e558f3565bffb0c7dfb",
)
FILES = {
    f"{FOLDER}/train_X.bin": "md5:918c2871b30a85fa023e0c44e0bee87f",
    f"{FOLDER}/train_y.bin": "md5:5a34089d4802c674881badbb80307741",
    f"{FOLDER}/test_X.bin": "md5:7f263ba9f9e0b06b93213547f721ac82",
    f"{FOLDER}/test_y.bin": "md5:36f9794fa4beb8a2c72628de14fa638e",
}
UNLABELLED = {f"{FOLDER}/unlabeled_X.bin": 100_000 * PIXEL_BYTES}


class Stl10(DatasetOptions):
    """Photos of ten kinds of animals and vehicles, larger and fewer than CIFAR-10's; nothing is annotated."""

    name: Literal["stl10"]

    def read(self, progress: Progress) -> tuple[Split, Split, dict[str, Any]]:
        place = origin(progress)
        contents = _files(place, progress)
        train, test = (self._part(contents, part) for part in ("train", "test"))
        card = {
            "name": self.name,
            "classes": CLASSES,
            "groups": None,
            "masks": None,
            "source": "STL-10, https://cs.stanford.edu/~acoates/stl10",
            "terms": "Photos from ImageNet, for research; cite A. Coates, H. Lee, A. Ng, AISTATS 2011.",
            **place.card(),
        }
        return hold_out(train, self.validation, self.seed), test, card

    def _part(self, contents: dict[str, bytes], part: Part) -> Split:
        images, labels = _parsed(contents, part)
        kept = self.chosen(labels, part)
        ids = kept + (TEST_IDS if part == "test" else 0)
        pixels = np.stack([resized(image, self.size) for image in images[kept]])
        return Split(images=pixels, labels=labels[kept], ids=ids, groups=ids)


def _files(place: Origin, progress: Progress) -> dict[str, bytes]:
    if place.has(list(FILES)[-1]):
        return {path: place.read(path, LIMIT, FILES[path]) for path in progress(list(FILES), "read STL-10")}
    if not place.mirrored or place.has(ARCHIVE.name):
        return read_tar(place.archive(ARCHIVE), FILES, LIMIT, UNLABELLED)
    raise absent(place, "STL-10", [f"{FOLDER}/", ARCHIVE.name])


def _parsed(contents: dict[str, bytes], part: Part) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 (N, 96, 96, 3), which are stored channel by channel and column by column, and labels int64 (N,)."""
    where = f"{FOLDER}/{part}_X.bin"
    labels = np.frombuffer(contents[f"{FOLDER}/{part}_y.bin"], np.uint8).astype(np.int64) - 1
    content = contents[where]
    if not len(labels) or len(content) != len(labels) * PIXEL_BYTES or labels.min() < 0 or labels.max() > 9:
        raise DataError(
            f"{where}: found {len(content)} bytes for {len(labels)} labels, expected {PIXEL_BYTES} bytes for each of "
            "at least one label, and labels 1 to 10. The file is damaged: fetch it again."
        )
    return np.frombuffer(content, np.uint8).reshape(-1, 3, SIDE, SIDE).transpose(0, 3, 2, 1), labels
