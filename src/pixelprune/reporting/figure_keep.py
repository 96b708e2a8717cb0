"""Accuracy against the share of pixels kept, beside what "fewer pixels to write on" alone would give."""

from collections import defaultdict
from collections.abc import Sequence

from pixelprune.evaluation.intervals import Estimate
from pixelprune.evaluation.nulls import nulls
from pixelprune.evaluation.worst_case import groups
from pixelprune.reporting import words
from pixelprune.reporting.analysis import Analysis, Entry, robust, share
from pixelprune.reporting.collect import FULL, Results
from pixelprune.reporting.figure import Axis, Figure, Point, Series, panel
from pixelprune.sampling import numpy_generator

LEAST_SHARES = 3
COLUMNS = ("clean", "kept", "adaptive", "budget", "null, retrained", "null, fixed")
ROLES = ("clean", "robust", "corrupted", "extra", "robust null", "extra null")
MARKERS = ("circle", "square", "diamond", "triangle", "", "")
AXIS = Axis("pixels kept, %", [(value / 100, str(value)) for value in (0, 25, 50, 75, 100)])

Accuracies = Sequence[Estimate | None]
"""One a column of COLUMNS; None where it was not measured."""


def keep_shares(results: Results, analysis: Analysis) -> Figure | None:
    """A panel a map and training, where the grid holds at least three shares of one map, `none` not counted."""
    of_map: dict[str, list[str]] = defaultdict(list)
    for name, pruned in results.strategies.items():
        if name != FULL and pruned.options["keep"] != "own":
            of_map[pruned.options["map"]].append(name)
    panels: list[str] = []
    rows: list[tuple[str, ...]] = []
    moves = []
    for key, names in of_map.items():
        if len({results.strategies[name].kept for name in names}) < LEAST_SHARES:
            continue
        for training in results.trainings:
            if not analysis.entries[FULL, training].judged.printable:
                continue  # every null is a reading of it
            ordered = sorted([*names, FULL], key=lambda name: results.strategies[name].kept)
            shown = [analysis.entries[name, training] for name in ordered]
            shown = [entry for entry in shown if entry.judged.printable]
            if all(entry.strategy == FULL for entry in shown):
                continue
            at = [results.strategies[entry.strategy].kept for entry in shown]
            found = [_accuracies(results, analysis, entry, keep) for entry, keep in zip(shown, at, strict=True)]
            rows += [
                (entry.name, f"{100 * keep:.0f}", *("–" if one is None else words.rate(one) for one in values))
                for entry, keep, values in zip(shown, at, found, strict=True)
            ]
            panels.append(_panel(results, f"keep-{key}-{training}", f"{key}, {training}", at, found))
            if training == analysis.training:
                moves.append(f"{key} {_beyond(at, found)}")
    if not panels:
        return None
    first = "; nulls of the first seed alone" if len(results.seeds) > 1 else ""
    return Figure(
        name="keep-share",
        title="More than fewer pixels to write on account for: "
        + (words.listed(moves) or "no valid result in the training of the first screen"),
        description="Clean and robust accuracy against the share of pixels kept",
        panels=tuple(panels),
        columns=("run", "pixels kept, %", *(f"{name}, %" for name in COLUMNS)),
        rows=tuple(rows),
        source="report/accuracy.csv",
        note=(
            f"{words.ball(analysis.threat)}, worst of {words.attack_list(results)}. 100 % is `{FULL}`. Dashed: the "
            "full model read at a smaller eps, as if nothing mattered but how many pixels can be written on: of a "
            f"network trained anew (compare with kept) and of the same one (compare with budget){first}."
        ),
    )


def _beyond(at: Sequence[float], found: Sequence[Accuracies]) -> str:
    """At which shares the interval of the kept accuracy lies above that of the null of a network trained anew."""
    shares = []
    for keep, (_, kept, _, _, retrained, _) in zip(at, found, strict=True):
        if kept is not None and retrained is not None and kept.low > retrained.high:
            shares.append(f"{100 * keep:.0f}")
    return f"at {words.listed(shares)} %" if shares else "nowhere"


def _panel(results: Results, name: str, heading: str, at: Sequence[float], found: Sequence[Accuracies]) -> str:
    lines = []
    for label, role, marker, shares in zip(COLUMNS, ROLES, MARKERS, zip(*found, strict=True), strict=True):
        points = [Point(x, one.value, one.low, one.high) for x, one in zip(at, shares, strict=True) if one is not None]
        lines.append(Series(label, role, marker, points, band=label in ("clean", "kept")))
    return panel(name, heading, lines, AXIS, chance=1 / len(results.data["classes"]), labels=96)


def _accuracies(results: Results, analysis: Analysis, entry: Entry, keep: float) -> Accuracies:
    threat, training = analysis.threat, entry.training
    generator = numpy_generator("nulls", training, threat.name, f"{keep:.6f}")
    full = results.of(FULL, training)[0].rows
    expected = nulls(full, threat.name, threat.norm, keep, [threat.headline], generator)
    budget = entry.robust
    if entry.strategy != FULL:
        runs = results.of(entry.strategy, training)
        stands = robust(runs, threat.name, threat.headline, "budget")
        budget = share(stands, groups(runs[0].rows).to_numpy(), "budget", entry.strategy, training, threat.name)
    retrained, fixed = (expected[key][0].accuracy for key in ("kept", "budget"))
    return entry.clean, entry.robust, entry.adaptive, budget, retrained, fixed
