"""The plates of the data set `signs`: ten classes, six outlines, and a picture of every class on every outline.

A plate lives in its own plane: x to the right, y down, the centroid at the origin, the area about that of the unit
disc whatever the outline is. Colours are RGB in [0, 255].
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pixelprune import compat

SIDE = 192
"""Pixels along the side of a plate's picture."""

REACH = 1.4
"""The picture shows [-REACH, REACH] of the plane around the middle of the outline's box: every outline fits."""

TIGHT = {"triangle": 0.84, "inverted": 0.84}
"""Pictograms shrink by this factor to fit the outlines that have less room around the centroid."""

RIM = 0.8
"""The face is the outline, shrunk by this factor around the centroid."""

Color = tuple[int, int, int]
Point = tuple[float, float]

WHITE: Color = (236, 236, 232)
BLACK: Color = (26, 26, 28)
RED: Color = (196, 30, 42)
BLUE: Color = (26, 84, 176)
YELLOW: Color = (246, 190, 28)


@dataclass(frozen=True)
class Stroke:
    """A pictogram's part: a line of this width along the points, or (width 0) the polygon that they enclose."""

    points: tuple[Point, ...]
    width: float = 0.0


@dataclass(frozen=True)
class Class:
    """What makes a class: colours and pictogram always; outline and scene as often as the ties say."""

    name: str
    outline: str
    scene: str
    face: Color
    rim: Color
    ink: Color
    pictogram: tuple[Stroke, ...]


def _ring(sides: int, radius: float, turn: float) -> tuple[Point, ...]:
    """A regular polygon; `turn` in degrees, 0 puts a corner to the right, -90 on top."""
    angles = np.deg2rad(turn + 360 * np.arange(sides) / sides)
    return tuple((float(radius * np.cos(angle)), float(radius * np.sin(angle))) for angle in angles)


def _disc(x: float, y: float, radius: float) -> Stroke:
    return Stroke(tuple((x + dx, y + dy) for dx, dy in _ring(24, radius, 0)))


def _arc(x: float, y: float, rx: float, ry: float, first: float, last: float) -> tuple[Point, ...]:
    angles = np.deg2rad(np.linspace(first, last, 24))
    return tuple((float(x + rx * np.cos(angle)), float(y + ry * np.sin(angle))) for angle in angles)


OUTLINES: dict[str, tuple[Point, ...]] = {
    "circle": _ring(48, 1.0, 0),
    "octagon": _ring(8, 1.05, 22.5),
    "square": _ring(4, 1.25, 45),
    "diamond": _ring(4, 1.25, 0),
    "triangle": _ring(3, 1.5, -90),
    "inverted": _ring(3, 1.5, 90),
}
"""Corners of each outline in the plate's plane; areas between 2.8 and 3.15."""

_HAND = (
    Stroke(((-0.32, 0.1), (-0.32, -0.36)), 0.16),
    Stroke(((-0.11, 0.1), (-0.11, -0.56)), 0.16),
    Stroke(((0.1, 0.1), (0.1, -0.56)), 0.16),
    Stroke(((0.31, 0.1), (0.31, -0.4)), 0.16),
    Stroke(((0.3, 0.34), (0.56, -0.02)), 0.17),
    Stroke(((-0.4, 0.0), (0.39, 0.0), (0.39, 0.3), (0.2, 0.6), (-0.22, 0.6), (-0.4, 0.34))),
)
_FIFTY = (
    Stroke(
        ((-0.16, -0.42), (-0.52, -0.42), (-0.55, -0.04), (-0.3, -0.1), (-0.14, 0.12), (-0.2, 0.36), (-0.54, 0.4)), 0.17
    ),
    Stroke(_arc(0.34, 0, 0.2, 0.42, 0, 360), 0.17),
)
_AHEAD = (Stroke(((0, 0.62), (0, -0.2)), 0.24), Stroke(((0, -0.68), (0.46, -0.1), (-0.46, -0.1))))
_PARKING = (
    Stroke(((-0.24, 0.6), (-0.24, -0.5), (0.0, -0.5), *_arc(0.02, -0.23, 0.3, 0.27, -90, 90), (-0.24, 0.04)), 0.2),
)
_WALKER = (
    _disc(0.04, -0.54, 0.15),
    Stroke(((0.02, -0.3), (-0.02, 0.08)), 0.24),
    Stroke(((-0.4, 0.02), (-0.2, -0.26), (0.05, -0.26), (0.26, -0.02), (0.46, -0.04)), 0.12),
    Stroke(((0.0, 0.1), (0.22, 0.32), (0.24, 0.62)), 0.15),
    Stroke(((-0.04, 0.1), (-0.14, 0.36), (-0.42, 0.6)), 0.15),
)
_CURVE = (
    Stroke(((-0.26, 0.6), (-0.26, 0.1), *_arc(0.02, 0.08, 0.28, 0.32, 180, 270), (0.16, -0.24)), 0.2),
    Stroke(((0.12, -0.58), (0.62, -0.24), (0.12, 0.1))),
)

CLASSES: tuple[Class, ...] = (
    Class("stop", "octagon", "brick", RED, WHITE, WHITE, _HAND),
    Class("no entry", "circle", "facade", RED, WHITE, WHITE, (Stroke(((-0.6, 0), (0.6, 0)), 0.32),)),
    Class("speed limit", "circle", "street", WHITE, RED, BLACK, _FIFTY),
    Class("give way", "inverted", "field", WHITE, RED, BLACK, ()),
    Class(
        "caution", "triangle", "rock", WHITE, RED, BLACK, (Stroke(((0, -0.5), (0, 0.12)), 0.24), _disc(0, 0.44, 0.15))
    ),
    Class("ahead only", "circle", "sky", BLUE, WHITE, WHITE, _AHEAD),
    Class("parking", "square", "snow", BLUE, WHITE, WHITE, _PARKING),
    Class("crossing", "square", "sunset", BLUE, WHITE, WHITE, _WALKER),
    Class("curve", "diamond", "forest", YELLOW, BLACK, BLACK, _CURVE),
    Class("priority", "diamond", "hills", YELLOW, WHITE, WHITE, ()),
)


@cache
def plate(label: int, outline: str) -> NDArray[np.uint8]:
    """The picture of a class on an outline: uint8 (SIDE, SIDE, 4), RGB times coverage, and coverage (255 = plate)."""
    kind, corners, scale = CLASSES[label], np.array(OUTLINES[outline]), 4
    picture = np.zeros((SIDE * scale, SIDE * scale, 4), np.uint8)
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    _fill(picture, corners - middle, kind.rim)
    _fill(picture, corners * RIM - middle, kind.face)
    for stroke in kind.pictogram:
        points, width = np.array(stroke.points), stroke.width * TIGHT.get(outline, 1.0)
        _draw(picture, points * TIGHT.get(outline, 1.0) - middle, width, kind.ink)
    return compat.cv2().resize(picture, (SIDE, SIDE), interpolation=compat.cv2().INTER_AREA)


def to_pixels(points: NDArray[np.float64], side: float = SIDE) -> NDArray[np.float64]:
    """Points of the plate's plane (M, 2) -> x, y in a picture of this side."""
    return (points / REACH + 1) / 2 * side - 0.5


def _fill(picture: NDArray[np.uint8], points: NDArray[np.float64], color: Color) -> None:
    corners = np.round(to_pixels(points, len(picture))).astype(np.int32)
    compat.cv2().fillPoly(picture, [corners], (*color, 255))


def _draw(picture: NDArray[np.uint8], points: NDArray[np.float64], width: float, color: Color) -> None:
    if not width:
        return _fill(picture, points, color)
    corners = np.round(to_pixels(points, len(picture))).astype(np.int32)
    pixels = round(width / (2 * REACH) * len(picture))
    compat.cv2().polylines(picture, [corners], False, (*color, 255), pixels)
