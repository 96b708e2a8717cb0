"""Accuracy on low-passed images against the radius of the filter."""

from collections.abc import Mapping, Sequence
from typing import Any

from pixelprune.evaluation.intervals import percent
from pixelprune.reporting.beside import Finding
from pixelprune.reporting.figure import Axis, Figure, Point, Series, panel

SHAPES = {"ideal": ("corrupted", "triangle"), "gaussian": ("extra", "diamond")}
MOST = 8
"""Ticks of the axis."""


def radii(found: Sequence[Finding]) -> Figure:
    """A panel a run: what an ideal and a Gaussian filter leave."""
    panels, rows = [], []
    for one in found:
        series, radius = [], 0.0
        for shape, (role, marker) in SHAPES.items():
            curve = _sorted(one.summary[shape]["low"])
            points = [Point(at, value["share"], value["low"], value["high"]) for at, value in curve]
            series.append(Series(shape, role, marker, points))
            rows += [
                (one.place, shape, f"{at:g}", f"{percent(value['share'])} % [{percent(value['low'])}, "
                 f"{percent(value['high'])}]", f"n = {value['n']:,}")
                for at, value in curve
            ]  # fmt: skip
            radius = max(radius, points[-1].x)
        ticks = [p.x for p in series[0].points][:: max(1, -(-len(series[0].points) // MOST))]
        axis = Axis("radius kept, cycles per 32 pixels", [(0.0, "0"), *((at, f"{at:g}") for at in ticks if at < radius),
                                                          (radius, f"{radius:g}")])  # fmt: skip
        text = "; ".join(f"{line.label}: " + ", ".join(percent(p.y) for p in line.points) for line in series)
        name = f"radius-{one.measure}-{one.place.replace('/', '-')}"
        panels.append(panel(name, one.place, series, axis, chance=one.summary["chance"], description=text))
    areas = [one.summary["ideal"]["lp_auc"]["share"] for one in found]
    return Figure(
        name=f"radius-{found[0].measure}",
        title=f"Low-passed images: mean accuracy over the radii from {percent(min(areas))} to {percent(max(areas))} % "
        "(ideal filter)",
        description="Accuracy against the radius that a low-pass filter keeps, a panel a run",
        panels=tuple(panels),
        columns=("run", "filter", "radius", "accuracy, %", "n"),
        rows=tuple(rows),
        source="report/measured.csv",
        note="Bands: 95 % intervals. A flat curve is neither better nor worse: whether a network should do without "
        "fine detail is for the task to say.",
    )


def _sorted(curve: Mapping[str, Any]) -> list[tuple[float, Any]]:
    return sorted((float(radius), value) for radius, value in curve.items())
