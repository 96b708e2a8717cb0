"""GTSRB: 51,839 photos of German traffic signs in 43 classes; training images come in tracks of one sign each.

**Source:** J. Stallkamp, M. Schlipsing, J. Salmen, C. Igel, Man vs. computer, Neural Networks 32, 2012;
https://benchmark.ini.rub.de. Original sizes; the sign's annotated box, with a margin, is cut out and resized.
"""

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from pixelprune.datasets.archives import Zip
from pixelprune.datasets.gtsrb_classes import NAMES, SHAPES
from pixelprune.datasets.gtsrb_tables import (
    TEST_FOLDER,
    TRAINING_FOLDERS,
    TRUTH_FILE,
    Read,
    Row,
    test_rows,
    training_rows,
)
from pixelprune.datasets.images import decode, resized
from pixelprune.datasets.mirror import absent, origin
from pixelprune.datasets.options import DatasetOptions, Progress
from pixelprune.datasets.origin import Archive, Origin
from pixelprune.datasets.outlines import drawn
from pixelprune.datasets.split import Part, Split, hold_out
from pixelprune.errors import DataError
from pixelprune.options import Listed

_ADDRESS = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370"
TRAINING = Archive(
    "GTSRB-Training_fixed.zip", f"{_ADDRESS}/GTSRB-Training_fixed.zip", "md5:513f3c79a4c5141765e10e952eaa2478"
)
TEST = Archive(
    "GTSRB_Final_Test_Images.zip", f"{_ADDRESS}/GTSRB_Final_Test_Images.zip", "md5:c7e4e6327067d32654124b0fe9e82185"
)
TRUTH = Archive(
    "GTSRB_Final_Test_GT.zip", f"{_ADDRESS}/GTSRB_Final_Test_GT.zip", "md5:fe31e9c9270bbcd7b84b7f21a9d9d9e5"
)
LIMIT = 8 * 2**20


def _distinct(numbers: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if numbers is not None and len(set(numbers)) < len(numbers):
        raise ValueError("must name every class once")
    return numbers


Numbers = Annotated[tuple[Annotated[int, Field(ge=0, lt=43)], ...], Listed, Field(min_length=2)]


class Gtsrb(DatasetOptions):
    """German traffic signs; groups are tracks, masks the outline of the sign's class drawn into its annotated box."""

    name: Literal["gtsrb"]
    classes: Annotated[
        Numbers | None,
        AfterValidator(_distinct),
        Field(description="official numbers of the classes to take, relabelled in this order; null takes all 43"),
    ] = None
    margin: Annotated[
        float, Field(ge=0, le=1, description="share of the box's side that is added on each side, inside the photo")
    ] = 0.1

    def read(self, progress: Progress) -> tuple[Split, Split, dict[str, Any]]:
        place = origin(progress)
        training, test = _readers(place)
        numbers = self.classes or tuple(range(43))
        card = {
            "name": self.name,
            "classes": [NAMES[number] for number in numbers],
            "groups": "track",
            "masks": "outline of the class drawn in the annotated box",
            "source": "GTSRB, https://benchmark.ini.rub.de",
            "terms": "No licence is stated with the archives; cite J. Stallkamp et al., Man vs. computer, Neural "
            "Networks 32, 2012.",
        }
        train_part = self._part("train", training_rows(training, numbers), training, progress)
        test_part = self._part("test", test_rows(test, numbers), test, progress)
        return hold_out(train_part, self.validation, self.seed), test_part, {**card, **place.card()}

    def _part(self, part: Part, rows: list[Row], read: Read, progress: Progress) -> Split:
        if not rows:
            raise DataError(f"GTSRB: found no {part} image of the classes {self.classes}. Give other classes.")
        order = {number: label for label, number in enumerate(self.classes or range(43))}
        labels = np.array([order[row.number] for row in rows], np.int64)
        chosen = [rows[position] for position in self.chosen(labels, part)]
        crops = [self._crop(row, read(row.path)) for row in progress(chosen, f"read GTSRB {part}")]
        return Split(
            images=np.stack([image for image, _ in crops]),
            labels=np.array([order[row.number] for row in chosen], np.int64),
            ids=np.array([row.image for row in chosen], np.int64),
            groups=np.array([row.group for row in chosen], np.int64),
            masks=np.stack([mask for _, mask in crops]),
        )

    def _crop(self, row: Row, content: bytes) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The box with its margin, uint8 (size, size, 3), and the outline in it, bool (size, size)."""
        photo = decode(content, row.path)
        height, width = photo.shape[:2]
        if (width, height) != row.size:
            raise DataError(f"{row.path}: found {width} x {height} pixels, expected {row.size} as its table says.")
        left, top, right, bottom = row.box
        across, down = self.margin * (right - left), self.margin * (bottom - top)
        x0, y0 = max(0, round(left - across)), max(0, round(top - down))
        x1, y1 = min(width, round(right + across)), min(height, round(bottom + down))
        scale_x, scale_y = self.size / (x1 - x0), self.size / (y1 - y0)
        box = ((left - x0) * scale_x, (top - y0) * scale_y, (right - x0) * scale_x, (bottom - y0) * scale_y)
        return resized(photo[y0:y1, x0:x1], self.size), drawn(SHAPES[row.number], box, self.size)


def _readers(place: Origin) -> tuple[Read, Read]:
    """Functions that read training and test files by their path in the official layout."""
    for folder in TRAINING_FOLDERS:
        if place.has(f"{folder}/00000/GT-00000.csv") and place.has(TRUTH_FILE):

            def unpacked(path: str, folder: str = folder) -> bytes:
                return place.read(path.replace(TRAINING_FOLDERS[0], folder, 1), LIMIT)

            return unpacked, unpacked
    if place.mirrored and not all(place.has(archive.name) for archive in (TRAINING, TEST, TRUTH)):
        names = " + ".join(archive.name for archive in (TRAINING, TEST, TRUTH))
        raise absent(
            place, "GTSRB", [f"{folder}/ + {TEST_FOLDER}/ + {TRUTH_FILE}" for folder in TRAINING_FOLDERS] + [names]
        )
    training, test, truth = (Zip(place.archive(archive)) for archive in (TRAINING, TEST, TRUTH))
    folder = next((f for f in TRAINING_FOLDERS if training.has(f"{f}/00000/GT-00000.csv")), TRAINING_FOLDERS[1])

    def packed_training(path: str) -> bytes:
        return training.read(path.replace(TRAINING_FOLDERS[0], folder, 1), LIMIT)

    def packed_test(path: str) -> bytes:
        return (truth if path == TRUTH_FILE else test).read(path, LIMIT)

    return packed_training, packed_test
