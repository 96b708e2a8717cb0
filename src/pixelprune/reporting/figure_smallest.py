"""Accuracy at every radius, from the smallest eps that breaks each image."""

from typing import TYPE_CHECKING

import numpy as np

from pixelprune.evaluation.intervals import Rate
from pixelprune.reporting import words
from pixelprune.reporting.analysis import Analysis
from pixelprune.reporting.collect import FULL, Results, ThreatEntry
from pixelprune.reporting.figure import Figure, Point, Series, panel
from pixelprune.reporting.figure_eps import eps_axis

if TYPE_CHECKING:
    import pandas

RADII = 33
"""Points of a curve, the first at 0; as many as the search tells apart."""


def every_radius(results: Results, analysis: Analysis) -> Figure | None:
    """A panel a strategy, first seed: images that stand at each radius, beside those of the full network."""
    threat, training = analysis.threat, analysis.training
    shown = {
        strategy: run.smallest[run.smallest["threat"] == threat.name]
        for strategy in results.strategies
        if (run := results.of(strategy, training)[0]).smallest is not None
        and analysis.entries[strategy, training].judged.printable
    }
    if not any(len(table) for table in shown.values()):
        return None
    full = shown.get(FULL)
    panels = []
    for strategy, table in shown.items():
        lines = [Series(strategy[:12], "robust", "", _curve(table, threat))]
        if full is not None and strategy != FULL:
            lines.insert(0, Series(FULL, "control", "", _curve(full, threat)))
        panels.append(
            panel(
                f"smallest-{threat.name}-{training}-{strategy}", strategy, lines, eps_axis(threat),
                chance=1 / len(results.data["classes"]), description=f"Median radius {_median(table)}",
            )
        )  # fmt: skip
    medians = [f"{strategy} {_median(table)}" for strategy, table in shown.items()]
    count = len(next(iter(shown.values())))
    return Figure(
        name=f"smallest-{threat.name}-{training}",
        title=f"Half of the images are wrong from eps = {words.listed(medians)}",
        description=f"Share of images that stand at each eps, {training} training, {words.norm(threat)}",
        panels=tuple(panels),
        columns=("strategy", "access", "median smallest eps", "wrong at 0", "stand at the largest", "n"),
        rows=tuple(_row(strategy, table) for strategy, table in shown.items()),
        source=f"results/*/{training}/*/smallest_eps.parquet",
        note=(
            f"{training} training, {words.norm(threat)}, n = {count:,}, first seed: the smallest eps at which one of "
            f"{words.attack_list(results)} breaks each image, found by bisection. Bands: 95 % intervals of each rate."
        ),
    )


def _curve(table: "pandas.DataFrame", threat: ThreatEntry) -> list[Point]:
    radius = table["radius"].to_numpy(np.float64)
    points = []
    for eps in np.linspace(0, max(threat.eps), RADII):
        stand = Rate(int((radius > eps * (1 + 1e-6)).sum()), len(radius))
        points.append(Point(float(eps), stand.share, *stand.interval))
    return points


def _median(table: "pandas.DataFrame") -> str:
    """The eps from which at least half of the images are wrong."""
    radius = np.sort(table["radius"].to_numpy(np.float64))[(len(table) - 1) // 2]
    return f"beyond {words.radius(table['largest'].iloc[0])}" if np.isinf(radius) else words.fine_radius(radius)


def _row(strategy: str, table: "pandas.DataFrame") -> tuple[str, ...]:
    radius, count = table["radius"].to_numpy(np.float64), len(table)
    ends = (f"{100 * (radius == 0).sum() / count:.1f} %", f"{100 * np.isinf(radius).sum() / count:.1f} %")
    return strategy, str(table["access"].iloc[0]), _median(table), *ends, f"{count:,}"
