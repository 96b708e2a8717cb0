"""Reads COCO's instance annotations: which objects there are, and the outline of each."""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelprune.errors import DataError

SIDE = 20_000
"""Longest side of a photo that is believed."""

AGAIN = "The table is damaged: fetch it again."


@dataclass(frozen=True)
class Found:
    """An object. `box`: left, top, width, height in pixels; `shape`: height and width of its photo."""

    id: int
    photo: int
    file: str
    shape: tuple[int, int]
    label: int
    box: tuple[float, float, float, float]
    segmentation: Any


def objects(content: bytes, table: str, categories: tuple[str, ...], minimum: float) -> list[Found]:
    """The objects of the categories, ordered by their id; no crowds, none smaller than `minimum` squared pixels.

    Raises DataError where the table is damaged or has no such category.
    """
    try:
        tables = json.loads(content)
        numbers = {str(entry["name"]): entry["id"] for entry in tables["categories"]}
        photos = {entry["id"]: entry for entry in tables["images"]}
        entries = tables["annotations"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{table}: not a table of COCO instances ({type(error).__name__}: {error}). {AGAIN}") from None
    for category in categories:
        if category not in numbers:
            raise DataError(
                f"dataset.categories: no category {category!r}; {table} has: {', '.join(sorted(numbers))}. Correct it."
            )
    labels = {numbers[category]: label for label, category in enumerate(categories)}
    found: dict[int, Found] = {}
    for position, entry in enumerate(entries):
        try:
            if entry["iscrowd"] or entry["category_id"] not in labels or entry["area"] < minimum**2:
                continue
            item = _found(entry, photos[entry["image_id"]], labels[entry["category_id"]])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{table}: annotation {position}: {type(error).__name__}: {error}. {AGAIN}") from None
        if item.id in found:
            raise DataError(f"{table}: annotation {position}: the id {item.id} occurs twice. {AGAIN}")
        found[item.id] = item
    return [found[key] for key in sorted(found)]


def outline(entry: Found, table: str) -> NDArray[np.bool_]:
    """bool (H, W) over the whole photo, from polygons or run lengths. Raises DataError where they make no sense."""
    from pycocotools import mask

    height, width = entry.shape
    parts = entry.segmentation
    try:
        if isinstance(parts, dict):
            if list(parts["size"]) != [height, width]:
                raise ValueError(f"run lengths for {parts['size']}, the photo has {[height, width]}")
            counts = parts["counts"]
            counts = _unpacked(counts) if isinstance(counts, str) else counts
            coded = _packed(counts, height, width)
        else:
            for part in parts:
                if len(part) < 6 or len(part) % 2 or not all(-SIDE <= float(x) <= 2 * SIDE for x in part):
                    raise ValueError("a polygon needs at least three corners, each with x and y")
            coded = mask.merge(mask.frPyObjects(parts, height, width))
        drawn: NDArray[np.bool_] = mask.decode(coded).astype(bool)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise DataError(f"{table}: annotation id {entry.id}: {error}. {AGAIN}") from None
    if drawn.shape != (height, width):
        raise DataError(f"{table}: annotation id {entry.id}: found an outline of {drawn.shape}. {AGAIN}")
    return drawn


def _unpacked(text: str) -> list[int]:
    """Run lengths from COCO's text: 5 bits a character, lowest first, from the fourth run on as differences.

    pycocotools would read past the end where they do not add up. Source: the COCO API, rleFrString in maskApi.c.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ValueError(f"run lengths with the character {character!r}")
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            value -= (1 << shift) if code & 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("run lengths that end in the middle of a number")
    return counts


def _packed(counts: list[int], height: int, width: int) -> dict[str, Any]:
    from pycocotools import mask

    if not all(isinstance(count, int) and count >= 0 for count in counts) or sum(counts) != height * width:
        raise ValueError(f"run lengths that do not add up to {height * width} pixels")
    packed: dict[str, Any] = mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return packed


def _found(entry: dict[str, Any], photo: dict[str, Any], label: int) -> Found:
    left, top, across, down = (float(value) for value in entry["bbox"])
    height, width = int(photo["height"]), int(photo["width"])
    if not all(map(math.isfinite, (left, top, across, down))) or across <= 0 or down <= 0:
        raise ValueError(f"the box {entry['bbox']}")
    if not (0 < height <= SIDE and 0 < width <= SIDE and left < width and top < height and max(across, down) <= SIDE):
        raise ValueError(f"the box {entry['bbox']} in a photo of {width} x {height} pixels")
    file = str(photo["file_name"])
    if not file.replace("_", "").replace("-", "").removesuffix(".jpg").isalnum():
        raise ValueError(f"the file name {file!r}, expected NAME.jpg")
    if not 0 <= int(entry["id"]) < 10**9:
        raise ValueError(f"the id {entry['id']}")
    return Found(
        int(entry["id"]),
        int(photo["id"]),
        file,
        (height, width),
        label,
        (left, top, across, down),
        entry["segmentation"],
    )
