"""MS-COCO 2017: one object a picture, cut out of photos by its instance annotation, with its exact outline.

**Source:** T.-Y. Lin et al., Microsoft COCO: common objects in context, ECCV 2014, arXiv:1405.0312;
https://cocodataset.org. Photos of train2017 give the training part, photos of val2017 the test part.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from pixelprune.datasets.archives import Zip
from pixelprune.datasets.coco_annotations import Found, objects, outline
from pixelprune.datasets.images import decode, resized, resized_mask
from pixelprune.datasets.mirror import absent, origin
from pixelprune.datasets.options import DatasetOptions, Progress
from pixelprune.datasets.origin import Archive, Origin
from pixelprune.datasets.split import Part, Split, hold_out
from pixelprune.errors import DataError
from pixelprune.options import Listed

# The set's own host has no certificate for its name; this is the same store under an address with https.
_ADDRESS = "https://s3.amazonaws.com/images.cocodataset.org"
ANNOTATIONS = Archive(
    "annotations_trainval2017.zip",
    f"{_ADDRESS}/annotations/annotations_trainval2017.zip",
    "md5:f4bbac642086de4f52a3fdda2de5fa2c",
)
PHOTOS: dict[Part, Archive] = {
    "train": Archive("train2017.zip", f"{_ADDRESS}/zips/train2017.zip", "md5:cced6f7f71b7629ddf16f17bbcfab6b2"),
    "test": Archive("val2017.zip", f"{_ADDRESS}/zips/val2017.zip", "md5:442b8da7639aecaf257c1dceb8ba8c80"),
}
FOLDERS: dict[Part, str] = {"train": "train2017", "test": "val2017"}
TABLE_LIMIT = 2**30
PHOTO_LIMIT = 32 * 2**20
TEST_IDS = 10**9

Read = Callable[[str, int], bytes]


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("must name every category once")
    return names


class Coco(DatasetOptions):
    """Objects of photos, squared; groups are photos, masks come from polygons and run lengths, crowds are left out."""

    name: Literal["coco"]
    categories: Annotated[
        tuple[str, ...],
        Listed,
        Field(min_length=2, description="names of COCO categories; they are the classes, in this order"),
        AfterValidator(_distinct),
    ] = ("person", "chair", "car", "cup", "bottle", "bowl")
    minimum: Annotated[
        float, Field(ge=1, description="smallest object, as the square root of its area in pixels of the photo")
    ] = 32
    margin: Annotated[
        float, Field(ge=0, le=2, description="share of the box's longer side that is added on each side")
    ] = 0.1

    def read(self, progress: Progress) -> tuple[Split, Split, dict[str, Any]]:
        place = origin(progress)
        read = _reader(place)
        train, test = (self._part(part, read, progress) for part in FOLDERS)
        card = {
            "name": self.name,
            "classes": list(self.categories),
            "groups": "photo",
            "masks": "polygons and run lengths of the instance annotations",
            "source": "MS-COCO 2017, https://cocodataset.org",
            "terms": "Annotations CC BY 4.0 (COCO Consortium); every photo under its own Flickr licence.",
            **place.card(),
        }
        return hold_out(train, self.validation, self.seed), test, card

    def _part(self, part: Part, read: Read, progress: Progress) -> Split:
        table = f"annotations/instances_{FOLDERS[part]}.json"
        found = objects(read(table, TABLE_LIMIT), table, self.categories, self.minimum)
        for label, category in enumerate(self.categories):
            if part == "train" and not any(entry.label == label for entry in found):
                raise DataError(
                    f"{table}: found no {category!r} of at least {self.minimum:g} pixels. Leave it out of "
                    "dataset.categories, or lower dataset.minimum."
                )
        if not found:
            raise DataError(f"{table}: found no object of {', '.join(self.categories)}. Give other categories.")
        labels = np.array([entry.label for entry in found], np.int64)
        chosen = [found[position] for position in self.chosen(labels, part)]
        crops: dict[int, tuple[NDArray[np.uint8], NDArray[np.bool_]]] = {}
        by_photo: dict[str, list[Found]] = {}
        for entry in chosen:
            by_photo.setdefault(entry.file, []).append(entry)
        for file in progress(sorted(by_photo), f"read COCO {part}"):
            path = f"{FOLDERS[part]}/{file}"
            photo = decode(read(path, PHOTO_LIMIT), path)
            for entry in by_photo[file]:
                if photo.shape[:2] != entry.shape:
                    raise DataError(f"{path}: found {photo.shape[:2]} pixels, expected {entry.shape} as in {table}.")
                crops[entry.id] = self._crop(photo, outline(entry, table), entry.box)
        ids = np.array([entry.id for entry in chosen], np.int64)
        return Split(
            images=np.stack([crops[entry.id][0] for entry in chosen]),
            labels=np.array([entry.label for entry in chosen], np.int64),
            ids=ids + (TEST_IDS if part == "test" else 0),
            groups=np.array([entry.photo for entry in chosen], np.int64),
            masks=np.stack([crops[entry.id][1] for entry in chosen]),
        )

    def _crop(
        self, photo: NDArray[np.uint8], mask: NDArray[np.bool_], box: tuple[float, float, float, float]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The square around the box, moved into the photo; where the photo is too small its edge pixels go on."""
        left, top, across, down = box
        side = max(1, round(max(across, down) * (1 + 2 * self.margin)))
        starts = []
        for length, middle in zip(mask.shape, (top + down / 2, left + across / 2), strict=True):
            start = round(middle - side / 2)
            starts.append((length - side) // 2 if side > length else min(max(start, 0), length - side))
        rows, columns = (start + np.arange(side) for start in starts)
        inside = ((rows >= 0) & (rows < mask.shape[0]))[:, None] & (columns >= 0) & (columns < mask.shape[1])
        grid = np.ix_(rows.clip(0, mask.shape[0] - 1), columns.clip(0, mask.shape[1] - 1))
        return resized(photo[grid], self.size), resized_mask(mask[grid] & inside, self.size)


def _reader(place: Origin) -> Read:
    """A function that reads a file by its path in the official layout."""
    tables = [f"annotations/instances_{folder}.json" for folder in FOLDERS.values()]
    if all(place.has(table) for table in tables):
        return place.read
    archives = [ANNOTATIONS, *PHOTOS.values()]
    if place.mirrored and not all(place.has(archive.name) for archive in archives):
        unpacked = " + ".join([*tables, *(f"{folder}/" for folder in FOLDERS.values())])
        raise absent(place, "MS-COCO 2017", [unpacked, " + ".join(archive.name for archive in archives)])
    packed = {"annotations": Zip(place.archive(ANNOTATIONS))}
    packed |= {FOLDERS[part]: Zip(place.archive(archive)) for part, archive in PHOTOS.items()}
    return lambda path, limit: packed[path.split("/")[0]].read(path, limit)
