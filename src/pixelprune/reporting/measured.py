"""The numbers of every measure, whatever its summary holds, and the tables that the page shows of them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pixelprune.evaluation.intervals import percent
from pixelprune.reporting.beside import Finding
from pixelprune.reporting.figure import Figure

if TYPE_CHECKING:
    import pandas

CENTRES = ("share", "mean", "probability", "accuracy")
"""What the number is called that an interval `low`, `high` belongs to."""
SHARES = ("share", "probability", "accuracy")
"""Of these, those in [0, 1], shown in percent."""
ALONE = ("error", "mean error", "mean_probability", "smallest_probability", "clean_accuracy")
"""Shares that come without an interval."""
COUNTS = ("n", "samples", "images")
OWN_INTERVALS = ("probabilistic",)
"""Measures whose intervals hold with a confidence of their own."""
WIDEST = 12
"""Columns at most of a table of a measure that names no headline numbers."""
HEADLINES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "psi": (
        ("median psi", "masked.median_psi"), ("mean KL", "masked.mean_kl"), ("1 / mean KL", "masked.one_over_mean_kl"),
        ("no other label within the KL", "masked.stands"), ("clean", "clean"), ("PGD-10", "masked.robust_pgd10"),
        ("worst case", "worst_case"), ("median psi, mask free", "free.median_psi"), ("passes", "masked.passes"),
        ("temperature", "temperature.value"),
    ),
    "probabilistic": (
        ("clean", "clean"), ("random points: mean", "points.mean_probability"),
        ("random points: least", "points.smallest_probability"), ("draws an image", "points.mean_samples"),
        ("saved", "points.mean_saved"), ("robust", "robust"), ("images used", "robust.samples"),
        ("saved", "robust.saved"),
    ),
    "sensitivity": (
        ("clean", "clean"),
        *((f"{name.replace('_', '-')}: {what}", f"{name}.{key}")
          for name in ("adversarial", "universal", "uniform", "gaussian", "low_pass")
          for what, key in (("right", "accuracy"), ("changed", "flips"))),
    ),
    "low_pass": (
        ("clean", "clean"), ("LP-AUC, ideal", "ideal.lp_auc"), ("ρ50, ideal", "ideal.rho50"),
        ("LP-AUC, Gaussian", "gaussian.lp_auc"), ("ρ50, Gaussian", "gaussian.rho50"),
    ),
    "fourier": (
        ("clean", "clean"), ("mean error", "mean error"), ("low frequencies", "bands.low.error"),
        ("middle", "bands.middle.error"), ("high", "bands.high.error"), ("worst", "worst.error"),
    ),
    "corruptions": (
        ("clean", "clean"), ("mean", "mean"), ("mean without extras", "mean without extras"), ("mCE", "mce"),
    ),
    "map_quality": (
        ("clean", "clean_accuracy"), ("least τ of two baselines", "least_tau"), ("τ of MoRF and LeRF", "road_tau"),
    ),
    "surface": (("clean", "clean"), ("right within eps, on the plane", "right_within_eps")),
}  # fmt: skip
"""Of each measure, what its table shows: heading, and where the summary has it. All others show all that they have."""


@dataclass(frozen=True)
class Value:
    """A number of a summary. share: in [0, 1], shown in percent."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    share: bool = False


@dataclass(frozen=True)
class Cell:
    text: str
    small: str = ""
    tint: int | None = None
    """0 to 10, of a heat table."""


@dataclass(frozen=True)
class Grid:
    caption: str
    columns: tuple[tuple[str, str], ...]
    """Heading, and in small type what all its numbers have in common."""
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    first: str = "run"
    heat: bool = False


@dataclass(frozen=True)
class Fold:
    summary: str
    grids: tuple[Grid, ...]


@dataclass(frozen=True)
class Shown:
    """What a measure's own part of the section has beside its table over runs."""

    sentences: tuple[str, ...] = ()
    values: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    """By the place of a run, further numbers of it; under the place "", of all runs together."""
    figures: tuple[Figure, ...] = ()
    folds: tuple[Fold, ...] = ()


def flat(summary: Mapping[str, Any]) -> dict[str, Value]:
    """Every number of a summary by its path, as "masked.median_psi"; words and lists are left out."""
    return dict(_flat({key: value for key, value in summary.items() if key != "measure"}, "", None))


def over_runs(kind: str, values: Mapping[str, Mapping[str, Value]]) -> Grid:
    """The headline numbers of a measure, a row a run; values: by place, then path."""
    known = {path: None for own in values.values() for path in own}
    wanted = [(text, path) for text, path in HEADLINES.get(kind, ()) if path in known]
    wanted = wanted or [(path.replace("_", " "), path) for path in list(known)[:WIDEST]]
    columns = []
    for text, path in wanted:
        cells = [own[path] for own in values.values() if path in own]
        counts = {cell.n for cell in cells if cell.n is not None}
        one = f"n = {counts.pop():,}" if len(counts) == 1 else ""
        columns.append((f"{text}, %" if any(cell.share for cell in cells) else text, one))
    rows = []
    for place, own in values.items():
        cells = [own.get(path, Value(None)) for _, path in wanted]
        rows.append((place, tuple(shown(cell, bool(count)) for cell, (_, count) in zip(cells, columns, strict=True))))
    left = len(known) - len(wanted) if kind not in HEADLINES else 0
    more = f" {left} further numbers: report/measured.csv." if left > 0 else ""
    interval = "interval" if kind in OWN_INTERVALS else "95 % interval"
    return Grid(f"Of each run; below a number its {interval} where it has one.{more}", tuple(columns), tuple(rows))


def shown(value: Value, counted: bool = True) -> Cell:
    """counted: n is said elsewhere."""
    if value.value is None:
        return Cell("–")
    text = percent if value.share else plain
    interval = "" if value.low is None or value.high is None else f"[{text(value.low)}, {text(value.high)}]"
    count = "" if counted or value.n is None else f"n = {value.n:,}"
    return Cell(text(value.value), ", ".join(part for part in (interval, count) if part))


def plain(value: float) -> str:
    """Three digits, whole numbers in full: 0.01234 -> "0.0123", 1234.5 -> "1,234"."""
    if math.isinf(value):
        return "∞"
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"


def table(
    found: Mapping[str, Sequence[Finding]], values: Mapping[str, Mapping[str, Mapping[str, Value]]]
) -> "pandas.DataFrame":
    """A row a number. values: by measure, place ("" for all runs together) and path."""
    import pandas

    rows = []
    for measure, of_runs in found.items():
        runs = {one.place: {"strategy": one.strategy, "training": one.training, "seed": one.seed} for one in of_runs}
        for place, own in values[measure].items():
            for path, value in own.items():
                number = {"value": value.value, "low": value.low, "high": value.high, "n": value.n}
                rows.append({**runs.get(place, {}), "measure": measure, "quantity": path, **number})
    columns = ["strategy", "training", "seed", "measure", "quantity", "value", "low", "high", "n"]
    frame = pandas.DataFrame(rows, columns=columns).astype({"seed": "Int64", "n": "Int64"})
    frame[["value", "low", "high"]] = frame[["value", "low", "high"]].astype(float).round(6)
    return frame


def number(value: object) -> float | None:
    """As a finite number; None for words, lists and truth values."""
    plain = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if plain else None  # type: ignore[arg-type]


def _flat(content: Mapping[str, Any], path: str, n: int | None) -> Iterator[tuple[str, Value]]:
    n = next((int(content[key]) for key in COUNTS if number(content.get(key)) is not None), n)
    centre = next((key for key in CENTRES if number(content.get(key)) is not None), None)
    skip = {"n"}
    if centre is not None and {"low", "high"} <= set(content):
        skip |= {centre, "low", "high"}
        low, high = number(content["low"]), number(content["high"])
        yield path, Value(number(content[centre]), low, high, n, centre in SHARES)
    for key, value in content.items():
        if key in skip:
            continue
        own = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            yield from _flat(value, own, n)
        elif value is None:
            yield own, Value(None, n=n)
        elif (found := number(value)) is not None:
            yield own, Value(found, n=None if key in COUNTS else n, share=key in ALONE)
