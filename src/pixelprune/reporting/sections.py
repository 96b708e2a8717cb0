"""What the sections on defenses and measures are drawn from; none of it where a study has none."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelprune.reporting import defended as defenses
from pixelprune.reporting import figure_defended, figure_spectrum, measured, measured_kinds, pictures
from pixelprune.reporting.analysis import Analysis
from pixelprune.reporting.collect import Results
from pixelprune.reporting.measured import Fold, Grid, Value

BUDGET = 750_000
"""Bytes of all pictures of measures together, and of those of defenses."""
SIDE = 256
"""Pixels that a small picture is scaled up to, at most, by a whole number."""
EXAMPLES = 4
"""Images whose change by a defense is pictured."""
GAP = 2
"""Pixels between two pictures of a sheet."""
WITHOUT_IMAGES = {
    "surface": "The decision surface of single images side by side: blue where the class is right, orange where it is "
    "not, black the boundary; to the right the adversarial direction, up the random one",
    "heat": "The error at each frequency, zero in the middle, white where all are wrong",
    "universal": "The universal perturbation, scaled to its largest value; grey is no change",
}
"""Pictures of measures that hold no pixel of the data set, whatever its terms are."""
OTHERS = {
    "filtered": "The first image low-passed, then high-passed, at each radius; ideal, then Gaussian filter",
    "maps": "A row an image: itself, then its maps",
}


@dataclass(frozen=True)
class Picture:
    place: str
    """Of the run."""
    caption: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Block:
    """One measure of params.yaml."""

    name: str
    about: str
    sentences: tuple[str, ...]
    table: Grid
    figures: tuple[Any, ...]
    folds: tuple[Fold, ...]
    pictures: tuple[Picture, ...]
    """Of the training that the first screen speaks of."""
    other_pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Measures:
    blocks: tuple[Block, ...]
    values: Mapping[str, Mapping[str, Mapping[str, Value]]]
    """By measure, place and path."""


def of_defenses(entries: Sequence[defenses.Entry], training: str, pixels: bool) -> dict[str, Any] | None:
    """Content of defended.html.j2. training: that of the first screen; pixels: images may stand in the report."""
    if not entries:
        return None
    groups: dict[str, list[defenses.Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.of, []).append(entry)
    corrupted = [entry for entry in entries if entry.corrupted]
    names = dict.fromkeys(name for entry in corrupted if entry.corrupted for name in entry.corrupted.by)
    counts = {entry.corrupted.after.n for entry in corrupted if entry.corrupted}
    return {
        "sentences": [defenses.sentence(entry) for entry in entries],
        "groups": list(groups.items()),
        "plateau": figure_defended.plateau(entries),
        "spectrum": figure_spectrum.spectrum([entry for entry in entries if entry.run.training == training]),
        "pictures": _affordable(_before_and_after(entry) for entry in entries if entry.run.shown and pixels),
        "corrupted": {"entries": corrupted, "names": list(names), "n": counts.pop() if len(counts) == 1 else None}
        if corrupted
        else None,
        "doubts": [(entry.name, one) for entry in entries if entry.judged.printable for one in entry.doubts],
        "probable": [(entry, entry.probable) for entry in entries if entry.judged.printable and entry.probable],
        "facts": [(entry.name, _facts(entry)) for entry in entries],
    }


def of_measures(results: Results, analysis: Analysis) -> Measures:
    """Content of measured.html.j2, and all numbers. analysis: under the first threat of params.yaml."""
    blocks, values, left = [], {}, BUDGET
    for name, found in results.measured.items():
        kind = found[0].kind
        shown = measured_kinds.SHOWN.get(kind, lambda *_: measured.Shown())(results, analysis, found)
        own = {one.place: measured.flat(one.summary) | dict(shown.values.get(one.place, {})) for one in found}
        drawn: tuple[list[Picture], list[Picture]] = [], []
        for one in sorted(found, key=lambda one: one.training != analysis.training):
            for key, picture in one.pictures().items():
                if key in WITHOUT_IMAGES or pictures.allowed(results):
                    made = _picture(one.place, key, np.asarray(picture))
                    left -= len(made.uri)
                    drawn[one.training != analysis.training].extend([made] if left >= 0 else [])
        table = measured.over_runs(kind, own)
        about = measured_kinds.ABOUT.get(kind, "")
        blocks.append(Block(name, about, shown.sentences, table, shown.figures, shown.folds, *map(tuple, drawn)))
        values[name] = own | ({"": shown.values[""]} if "" in shown.values else {})
    return Measures(tuple(blocks), values)


def _facts(entry: defenses.Entry) -> str:
    card = entry.run.card
    options = ", ".join(f"{key} {value}" for key, value in card["defense"].items() if key != "name")
    numbers = [f"{key.replace('_', ' ')} {measured.plain(value)}" for key, value in card.get("facts", {}).items()]
    numbers.append(f"multiply-adds undefended {entry.cost['undefended_multiply_adds']:,.0f}")
    declares = f"declares: {entry.declares or 'nothing'}"
    return "; ".join(part for part in (card["defense"]["name"], options, declares, ", ".join(numbers)) if part)


def _affordable(made: Iterable[Picture]) -> list[Picture]:
    """The first ones, as many as fit the budget."""
    several = list(made)
    sizes = accumulate(len(one.uri) for one in several)
    return [one for one, size in zip(several, sizes) if size <= BUDGET]


def _before_and_after(entry: defenses.Entry) -> Picture:
    """A row an image: as it is and what becomes of it, then the same of it attacked; large images thinned out."""
    columns = np.stack([images[:EXAMPLES] for kind in entry.run.shown.values() for images in kind.values()], 1)
    thin = -(-max(columns.shape[3:]) // pictures.LONGEST)
    tiles = np.pad(columns[..., ::thin, ::thin], ((0, 0), (0, 0), (0, 0), (0, GAP), (0, GAP)), constant_values=255)
    count, across, _, height, width = tiles.shape
    sheet = tiles.transpose(0, 3, 1, 4, 2).reshape(count * height, across * width, 3)
    names = ", ".join(next(iter(entry.run.shown.values())))
    return _picture(entry.run.place, f"A row an image: {names}; then the same of the attacked image", sheet)


def _picture(place: str, key: str, picture: NDArray[np.uint8]) -> Picture:
    height, width = picture.shape[:2]
    zoom = max(1, SIDE // max(height, width))
    return Picture(
        place, WITHOUT_IMAGES.get(key) or OTHERS.get(key, key), pictures.uri(picture), zoom * width, zoom * height
    )
