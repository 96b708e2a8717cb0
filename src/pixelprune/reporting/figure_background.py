"""Accuracy against what the attacker may do to the background, of the full and of the pruned network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelprune.evaluation.intervals import Estimate
from pixelprune.evaluation.worst_case import groups, standing
from pixelprune.reporting import words
from pixelprune.reporting.analysis import Analysis, paired, share
from pixelprune.reporting.collect import FULL, Results, Run, ThreatEntry
from pixelprune.reporting.figure import Axis, Figure, Point, Series, panel

ACCESSES = ("full", "adaptive")


def budgets(results: Results, analysis: Analysis) -> Figure | None:
    """A panel a strategy that was attacked so and is valid, in the training of the first screen."""
    threat, training = analysis.threat, analysis.training
    panels: list[str] = []
    rows: list[tuple[str, ...]] = []
    found: list[str] = []
    for strategy in results.strategies:
        runs = results.of(strategy, training)
        printable = all(analysis.entries[name, training].judged.printable for name in (strategy, FULL))
        if strategy == FULL or not printable or any(run.background is None for run in runs):
            continue
        times = sorted(runs[0].background["background"].unique())  # type: ignore[index]
        lines: dict[str, list[Estimate]] = {access: [] for access in ACCESSES}
        gains: dict[float, Estimate] = {}
        for one in times:
            stands, of_image = _stands(runs, threat, one)
            seed = (strategy, training, threat.name, f"{one:g}")
            for access in ACCESSES:
                lines[access].append(share(stands[access], of_image, "background", access, *seed))
            gain = paired(stands["adaptive"], stands["full"], of_image, "background", *seed)
            accuracies = (words.rate(lines[access][-1]) for access in ACCESSES)
            rows.append((strategy, f"{one:g} eps", *accuracies, gain.brief, words.sample(gain)))
            gains[one] = gain
        best = max(gains, key=lambda one: gains[one].value)
        found.append(f"{strategy} {gains[best].brief} at {best:g} eps")
        ticks = Axis("budget of the background, eps", [(float(n), f"{one:g}") for n, one in enumerate(times)])
        drawn = [(FULL, "full", "control", "open"), (strategy[:12], "adaptive", "robust", "square")]
        series = [Series(name, role, marker, _points(lines[access])) for name, access, role, marker in drawn]
        name, chance = f"background-{threat.name}-{training}-{strategy}", 1 / len(results.data["classes"])
        panels.append(panel(name, strategy, series, ticks, chance=chance, description=f"{training} training"))
    if not panels:
        return None
    return Figure(
        name=f"background-{threat.name}-{training}",
        title=f"Where the background has a budget of its own, pruning gains at most: {words.listed(found)}",
        description="Accuracy against the budget of the pixels that a strategy drops",
        panels=tuple(panels),
        columns=("strategy", "budget", f"{FULL}, %", "pruned, mask recomputed, %", "paired difference", "n"),
        rows=tuple(rows),
        source=f"results/*/{training}/*/background.parquet",
        note=(
            f"{training} training. What the strategy keeps may change by {words.ball(threat)}, what it drops by a "
            "multiple of that eps. The attacker writes everywhere and the mask is recomputed. Bands: 95 % intervals of "
            "each rate alone; differences are paired, image by image."
        ),
    )


def _stands(runs: Sequence[Run], threat: ThreatEntry, times: float) -> tuple[dict[str, NDArray[np.bool_]], Any]:
    """By access, which images stand, bool (S, N); and the group of each image."""
    tables = [run.background[run.background["background"] == times] for run in runs if run.background is not None]
    stands = {
        access: np.stack([standing(table, access, threat.name, threat.headline).to_numpy(np.bool_) for table in tables])
        for access in ACCESSES
    }
    return stands, groups(tables[0]).to_numpy()


def _points(values: Sequence[Estimate]) -> list[Point]:
    return [Point(n, one.value, one.low, one.high) for n, one in enumerate(values)]
