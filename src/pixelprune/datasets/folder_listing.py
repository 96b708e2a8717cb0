"""Finds the images of a user's own folder: by class folders, or by a CSV table."""

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from pixelprune import compat
from pixelprune.datasets.split import Part
from pixelprune.errors import DataError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp", ".tif", ".tiff")
MASKS = "masks"
PARTS = ("train", "training", "test", "testing", "val", "valid", "validation")
MOST = 2_000_000


@dataclass(frozen=True, order=True)
class Item:
    """An image; paths are relative to the data set's folder, with "/"."""

    path: str
    label: str
    mask: str | None = None
    group: str | None = None
    part: Part | None = None


def by_folders(root: Path) -> list[Item]:
    """class/name.png, or train/class/name.png and test/class/name.png; masks, if any, at masks/ + the same path.

    Raises DataError: no class folder, a mask that is missing, a link that leads out.
    """
    _refuse_links(root)
    parts: tuple[Part, ...] = get_args(Part)
    if all((root / part).is_dir() for part in parts):
        for name in PARTS:
            if name not in parts and (root / name).is_dir():
                raise DataError(
                    f"{root / name}: found a third part beside train/ and test/. Move its images into train/."
                )
        items = [item for part in parts for item in _classes(root, root / part, part)]
    else:
        items = _classes(root, root, None)
        _refuse_parts(root, items)
    if (root / MASKS).is_dir():
        _refuse_shared(root, items)
        for item in items:
            if not (root / str(item.mask)).is_file():
                raise DataError(
                    f"{root / str(item.mask)}: no such mask, expected one for every image, here for {item.path}. "
                    f"Add it, or take the folder {MASKS} away."
                )
        return sorted(items)
    return sorted(Item(item.path, item.label, part=item.part) for item in items)


def by_table(root: Path, name: str) -> list[Item]:
    """The lines of a CSV: image,label and, where wanted, mask, group, split (train or test).

    Raises DataError that names the line: other columns, an empty or absent entry, a path that leads out.
    """
    table = root / name
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = list(reader.fieldnames or [])
            known = {"image", "label", "mask", "group", "split"}
            if not {"image", "label"} <= set(columns) <= known or len(set(columns)) < len(columns):
                raise DataError(f"{table}: found the columns {','.join(columns)}, expected {_COLUMNS}. Correct line 1.")
            items = [_entry(root, table, reader.line_num, line, columns) for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: not readable as a CSV ({error}). Correct the file, or dataset.csv.") from None
    seen: set[str] = set()
    for item in items:
        if item.path in seen:
            raise DataError(f"{table}: the image {item.path} is listed twice. Take one line away.")
        seen.add(item.path)
    return sorted(items, key=lambda item: item.path)


_COLUMNS = "image,label[,mask][,group][,split]"


def _entry(root: Path, table: Path, number: int, line: dict[str, str], columns: list[str]) -> Item:
    where = f"{table}: line {number}"
    if len(line) != len(columns) or not all(line.values()):
        raise DataError(f"{where}: found an empty, missing or surplus entry, expected {','.join(columns)}. Fill it in.")
    if line.get("split", "train") not in get_args(Part):
        raise DataError(f"{where}: found the split {line['split']!r}, expected train or test. Correct it.")
    paths = {
        column: os.path.normpath(line[column]).replace(os.sep, "/") for column in ("image", "mask") if column in line
    }
    for path in paths.values():
        inside(root, path, where)
        if not (root / path).is_file():
            raise DataError(f"{where}: no such file: {root / path}. Correct the line, or add the file.")
    part = cast(Part | None, line.get("split"))
    return Item(paths["image"], line["label"], paths.get("mask"), line.get("group"), part)


def inside(root: Path, path: str, where: str) -> None:
    """Raises DataError where `path` leads out of `root`, by its name or by a link."""
    try:
        within = (root / path).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):
        within = False
    if not within:
        raise DataError(f"{where}: {path!r} leads out of {root}, expected files inside. Copy the file into the folder.")


def _classes(root: Path, folder: Path, part: Part | None) -> list[Item]:
    torchvision_folder = compat.torchvision().datasets.folder
    try:
        names, _ = torchvision_folder.find_classes(str(folder))
    except (FileNotFoundError, NotADirectoryError):
        names = []
    names = [name for name in names if name != MASKS and not name.startswith(".")]
    if not names:
        raise DataError(f"{folder}: found no folder of a class, expected CLASS/NAME.png for every image. Add them.")
    numbers = {name: number for number, name in enumerate(names)}
    found = torchvision_folder.make_dataset(str(folder), numbers, extensions=ENDINGS, allow_empty=True)
    if len(found) > MOST:
        raise DataError(f"{folder}: found {len(found)} images, expected at most {MOST}.")
    items = []
    for absolute, number in found:
        path = Path(absolute).relative_to(root).as_posix()
        items.append(Item(path, names[number], f"{MASKS}/{Path(path).with_suffix('.png').as_posix()}", part=part))
    filled = {item.label for item in items}
    for name in names:
        if name not in filled:
            raise DataError(f"{folder / name}: found no image, expected {', '.join(ENDINGS)}. Add some, or delete it.")
    return items


def _refuse_parts(root: Path, items: Iterable[Item]) -> None:
    """Folders named as parts of a data set that hold folders: their names are no classes."""
    for item in items:
        if item.label.lower() in PARTS and item.path.count("/") > 1:
            raise DataError(
                f"{root / item.label}: found {item.path} in the class {item.label!r}, expected class folders, or "
                "train/ and test/ that hold them. Rename the folder, or use `csv` with the column split."
            )


def _refuse_shared(root: Path, items: Iterable[Item]) -> None:
    """x.png and x.jpg beside each other would have one mask."""
    of_mask: dict[str | None, str] = {}
    for item in items:
        if (other := of_mask.setdefault(item.mask, item.path)) != item.path:
            raise DataError(f"{root / str(item.mask)}: found the mask of {other} and of {item.path}. Rename one image.")


def _refuse_links(root: Path) -> None:
    for folder, folders, files in os.walk(root):
        for name in folders:
            if (Path(folder) / name).is_symlink():
                raise DataError(f"{Path(folder) / name}: found a link to a folder, expected a folder. Copy it here.")
        for name in files:
            if (Path(folder) / name).is_symlink():
                path = (Path(folder) / name).relative_to(root).as_posix()
                inside(root, path, str(Path(folder) / name))
