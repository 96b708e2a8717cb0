"""Outlines of German traffic signs, drawn exactly into a box."""

import functools
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pixelprune import compat

Shape = Literal["circle", "up", "down", "octagon", "diamond"]

FINE = 8
"""Drawn so many times larger, then averaged: the edge is right to a sixteenth of a pixel."""

_CUT = 1 - 0.5**0.5

CORNERS: dict[Shape, list[tuple[float, float]]] = {
    "up": [(0.5, 0.0), (1.0, 1.0), (0.0, 1.0)],
    "down": [(0.0, 0.0), (1.0, 0.0), (0.5, 1.0)],
    "diamond": [(0.5, 0.0), (1.0, 0.5), (0.5, 1.0), (0.0, 0.5)],
    "octagon": [
        (_CUT, 0.0),
        (1 - _CUT, 0.0),
        (1.0, _CUT),
        (1.0, 1 - _CUT),
        (1 - _CUT, 1.0),
        (_CUT, 1.0),
        (0.0, 1 - _CUT),
        (0.0, _CUT),
    ],
}
"""Corners in a unit box, x to the right, y down."""

ROUNDING: dict[Shape, float] = {"up": 0.06, "down": 0.06, "diamond": 0.06, "octagon": 0.0}
"""Radius of the corners as a share of the box: a real sign's triangle has no sharp tips."""


@functools.cache
def polygon(shape: Shape) -> NDArray[np.float64]:
    """(P, 2) points x, y of the outline; it touches all four sides of the unit box."""
    circle = np.linspace(0, 2 * np.pi, 128, endpoint=False)
    disc = np.stack([np.cos(circle), np.sin(circle)], axis=1)
    if shape == "circle":
        return 0.5 + 0.5 * disc
    radius = ROUNDING[shape]
    corners = np.array(CORNERS[shape], float)
    if not radius:
        return corners
    # The outline of discs at the corners, all of them inside of the box, is the shape with rounded corners.
    centres = radius + corners * (1 - 2 * radius)
    discs = (centres[:, None] + radius * disc).reshape(-1, 2)
    return compat.cv2().convexHull(discs.astype(np.float32))[:, 0].astype(np.float64)


def drawn(shape: Shape, box: tuple[float, float, float, float], size: int) -> NDArray[np.bool_]:
    """bool (size, size): pixels of which at least half lies in the outline.

    box: left, top, right, bottom in pixels; pixel i covers [i, i + 1), and the box may lie partly outside.
    """
    cv2 = compat.cv2()
    left, top, right, bottom = box
    points = polygon(shape) * (right - left, bottom - top) + (left, top)
    fraction = 8
    canvas = np.zeros((size * FINE, size * FINE), np.uint8)
    # OpenCV counts from the middle of a pixel, with `fraction` bits behind the point.
    corners = np.round((points * FINE - 0.5) * 2**fraction).astype(np.int32)
    cv2.fillConvexPoly(canvas, corners, 255, lineType=cv2.LINE_8, shift=fraction)
    covered: NDArray[np.bool_] = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA) >= 128
    return covered
