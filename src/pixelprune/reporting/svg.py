"""Small vector pictures as text. Colors are classes of page.css, so that a dark scheme can change them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape


@dataclass(frozen=True)
class Scale:
    """Maps values in [low, high] to pixels; `start` belongs to low, `end` to high."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = (self.high - self.low) or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values within [low, high], at most `most`."""
    for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0):
        first = -int(-low / step) if low < 0 else int(-(-low // step))
        values = [round(k * step, 10) for k in range(first - 1, first + most + 2)]
        inside = [value for value in values if low - 1e-9 <= value <= high + 1e-9]
        if len(inside) <= most and (high - low) / step <= most:
            return inside
    return [low, high]


@dataclass
class Canvas:
    """Collects shapes; `render` gives one <svg> of width x height user units (pixels at full size)."""

    width: float
    height: float
    parts: list[str] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        self.parts.append(f'<path class="{style}" d="M{_n(x1)} {_n(y1)}L{_n(x2)} {_n(y2)}"/>')

    def path(self, points: Sequence[tuple[float, float]], style: str) -> None:
        if points:
            self.parts.append(f'<path class="{style}" d="{_path(points)}"/>')

    def area(self, upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]], style: str) -> None:
        if upper:
            self.parts.append(f'<path class="{style}" d="{_path([*upper, *reversed(lower)])}Z"/>')

    def rect(self, x: float, y: float, width: float, height: float, style: str) -> None:
        self.parts.append(
            f'<rect class="{style}" x="{_n(x)}" y="{_n(y)}" width="{_n(max(width, 0))}" height="{_n(max(height, 0))}"/>'
        )

    def text(self, x: float, y: float, text: str, style: str = "", anchor: str = "start") -> None:
        at = "" if anchor == "start" else f' text-anchor="{anchor}"'
        kind = f' class="{style}"' if style else ""
        self.parts.append(f'<text{kind} x="{_n(x)}" y="{_n(y)}"{at}>{escape(text)}</text>')

    def marker(self, x: float, y: float, shape: str, style: str, size: float = 4) -> None:
        r = size
        corners = {
            "square": [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)],
            "triangle": [(x, y - r), (x + r, y + r), (x - r, y + r)],
            "diamond": [(x, y - r - 1), (x + r + 1, y), (x, y + r + 1), (x - r - 1, y)],
        }
        if shape in corners:
            self.parts.append(f'<path class="{style}" d="{_path(corners[shape])}Z"/>')
        else:
            kind = f"{style} hollow" if shape == "open" else style
            self.parts.append(f'<circle class="{kind}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(r)}"/>')

    def render(self, name: str, title: str, description: str, style: str = "") -> str:
        """`name` must be unique in the page: it ties the picture to its title and description."""
        head = (
            f'<svg class="{style}" viewBox="0 0 {_n(self.width)} {_n(self.height)}" width="{_n(self.width)}" '
            f'height="{_n(self.height)}" role="img" aria-labelledby="{name}-t {name}-d">'
        )
        labels = f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(description)}</desc>'
        return head + labels + "".join(self.parts) + "</svg>"


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points)


def _n(value: float) -> str:
    """At most one decimal: a tenth of a pixel."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"
