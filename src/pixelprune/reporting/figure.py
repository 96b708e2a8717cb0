"""What every figure of the report is made of: pictures, a title that states the finding, and the numbers behind it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pixelprune.reporting.svg import Canvas, Scale


@dataclass(frozen=True)
class Figure:
    name: str
    """Unique in the page; letters, digits and - only."""
    title: str
    description: str
    panels: tuple[str, ...]
    """Pictures side by side; or, where `narrow` is there, the one for wide screens."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """The table that the pictures were drawn from."""
    source: str
    """Where the same numbers are."""
    narrow: str | None = None
    """The picture for phones."""
    note: str = ""


@dataclass(frozen=True)
class Point:
    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    label: str
    role: str
    """clean, robust, corrupted, extra or control: a class of page.css."""
    marker: str
    points: Sequence[Point]
    band: bool = True


@dataclass(frozen=True)
class Axis:
    title: str
    ticks: Sequence[tuple[float, str]]

    @property
    def low(self) -> float:
        return min(value for value, _ in self.ticks)

    @property
    def high(self) -> float:
        return max(value for value, _ in self.ticks)


PERCENT = Axis("accuracy, %", [(value / 100, str(value)) for value in range(0, 101, 20)])
LINE = 13
"""Least distance of two labels, in pixels."""


def panel(
    name: str,
    heading: str,
    series: Sequence[Series],
    x_axis: Axis,
    *,
    y_axis: Axis = PERCENT,
    chance: float | None = None,
    size: tuple[float, float] = (352, 264),
    description: str = "",
    labels: float = 84,
    style: str = "panel",
) -> str:
    """Lines with their intervals, labeled at their right ends. labels: the width kept free for the labels."""
    width, height = size
    canvas = Canvas(width, height)
    left, right, top, bottom = 34.0, width - labels, 40.0, height - 38.0
    across = Scale(x_axis.low, x_axis.high, left + 6, right - 4)
    up = Scale(y_axis.low, y_axis.high, bottom, top)
    canvas.text(0, 14, heading, "heading")
    canvas.text(0, 31, y_axis.title, "axis")
    for value, text in y_axis.ticks:
        canvas.line(left, up(value), right, up(value), "grid" if value > y_axis.low else "rule")
        canvas.text(left - 6, up(value) + 4, text, "axis", "end")
    for value, text in x_axis.ticks:
        canvas.text(across(value), bottom + 16, text, "axis", "middle")
        canvas.line(across(value), bottom, across(value), bottom + 3, "rule")
    canvas.text((left + right) / 2, height - 4, x_axis.title, "axis", "middle")
    if chance is not None:
        canvas.line(left, up(chance), right, up(chance), "chance")
    drawn = [one for one in series if one.points]
    for one in drawn:
        if one.band:
            upper = [(across(p.x), up(p.high)) for p in one.points]
            canvas.area(upper, [(across(p.x), up(p.low)) for p in one.points], f"band {one.role}")
    for one in drawn:
        if one.band and len(one.points) == 1:  # an area of no width
            canvas.line(upper[0][0], upper[0][1], upper[0][0], up(one.points[0].low), "whisker")
        canvas.path([(across(p.x), up(p.y)) for p in one.points], f"line {one.role}")
        for p in one.points if one.marker else ():
            canvas.marker(across(p.x), up(p.y), one.marker, f"dot {one.role}")
    ends = [(up(one.points[-1].y), one.label, one.role) for one in drawn]
    if chance is not None:
        ends.append((up(chance), "chance", "chance-label"))
    last = max((across(one.points[-1].x) for one in drawn), default=right)
    for y, text, role in _apart(ends, top, bottom + 4):
        canvas.text(max(last, right - 4) + 8, y + 4, text, f"label {role}")
    return canvas.render(name, heading, description or heading, style)


def _apart(ends: Sequence[tuple[float, str, str]], top: float, bottom: float) -> list[tuple[float, str, str]]:
    """Labels moved up or down until none covers another, in their order."""
    placed: list[tuple[float, str, str]] = []
    for y, text, role in sorted(ends):
        placed.append((max(y, placed[-1][0] + LINE) if placed else max(y, top), text, role))
    limit = bottom
    for index in range(len(placed) - 1, -1, -1):
        y, text, role = placed[index]
        placed[index] = (min(y, limit), text, role)
        limit = placed[index][0] - LINE
    return placed
