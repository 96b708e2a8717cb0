"""The tables of GTSRB: which images there are, with size, box, class and track."""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass

from pixelprune.errors import DataError

TRAINING_FOLDERS = ("GTSRB/Final_Training/Images", "GTSRB/Training")
"""The first is the layout that paths here are written in; the corrected archive unpacks to the second."""
TEST_FOLDER = "GTSRB/Final_Test/Images"
TRUTH_FILE = "GT-final_test.csv"
TEST_IDS = 10**9

Read = Callable[[str], bytes]
"""The content of a file, by its path in the official layout."""

_COLUMNS = ["Filename", "Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId"]
_AGAIN = "The table is damaged: fetch it again."


@dataclass(frozen=True)
class Row:
    """An annotated image. `box`: left, top, right, bottom in pixels, right and bottom not included."""

    path: str
    size: tuple[int, int]
    box: tuple[int, int, int, int]
    number: int
    image: int
    group: int


def training_rows(read: Read, numbers: tuple[int, ...]) -> list[Row]:
    rows = []
    for number in sorted(numbers):
        folder = f"{TRAINING_FOLDERS[0]}/{number:05d}"
        table = f"{folder}/GT-{number:05d}.csv"
        for line, entry in _lines(read(table), table):
            track, _, frame = entry["Filename"].removesuffix(".ppm").partition("_")
            if not (track.isdecimal() and frame.isdecimal() and int(track) < 1000 and int(frame) < 100):
                raise DataError(
                    f"{table}: line {line}: found the file {entry['Filename']!r}, expected TRACK_FRAME.ppm. {_AGAIN}"
                )
            group = number * 1000 + int(track)
            rows.append(_row(f"{folder}/{entry['Filename']}", entry, table, line, group * 100 + int(frame), group))
            if rows[-1].number != number:
                raise DataError(f"{table}: line {line}: found class {rows[-1].number}, expected {number}. {_AGAIN}")
    return _distinct_rows(rows, "training")


def test_rows(read: Read, numbers: tuple[int, ...]) -> list[Row]:
    rows = []
    for line, entry in _lines(read(TRUTH_FILE), TRUTH_FILE):
        stem = entry["Filename"].removesuffix(".ppm")
        if not stem.isdecimal() or len(stem) > 8:
            raise DataError(
                f"{TRUTH_FILE}: line {line}: found the file {entry['Filename']!r}, expected NUMBER.ppm. {_AGAIN}"
            )
        image = TEST_IDS + int(stem)
        rows.append(_row(f"{TEST_FOLDER}/{entry['Filename']}", entry, TRUTH_FILE, line, image, image))
    return _distinct_rows([row for row in rows if row.number in numbers], "test")


def _row(path: str, entry: dict[str, str], table: str, line: int, image: int, group: int) -> Row:
    try:
        width, height, left, top, right, bottom, number = (int(entry[name]) for name in _COLUMNS[1:])
    except ValueError:
        raise DataError(f"{table}: line {line}: found something that is no number in {entry}. {_AGAIN}") from None
    if not (0 <= left < right <= width and 0 <= top < bottom <= height and 0 <= number < 43):
        raise DataError(f"{table}: line {line}: found a box outside of its photo or no such class: {entry}. {_AGAIN}")
    return Row(path, (width, height), (left, top, right, bottom), number, image, group)


def _lines(content: bytes, table: str) -> list[tuple[int, dict[str, str]]]:
    """Line number and fields of every line of an official table."""
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig", "replace")), delimiter=";", strict=True)
    try:
        lines = [(reader.line_num, entry) for entry in reader]
    except csv.Error as error:
        raise DataError(f"{table}: line {reader.line_num}: not readable as CSV ({error}). {_AGAIN}") from None
    if reader.fieldnames is None or list(reader.fieldnames) != _COLUMNS:
        raise DataError(f"{table}: found the columns {reader.fieldnames}, expected {';'.join(_COLUMNS)}. {_AGAIN}")
    for line, entry in lines:
        if None in entry or None in entry.values():
            raise DataError(f"{table}: line {line}: found another number of fields, expected {len(_COLUMNS)}. {_AGAIN}")
    return lines


def _distinct_rows(rows: list[Row], what: str) -> list[Row]:
    seen: set[int] = set()
    for row in rows:
        if row.image in seen:
            raise DataError(f"{row.path}: listed twice among the {what} images. {_AGAIN}")
        seen.add(row.image)
    return rows
