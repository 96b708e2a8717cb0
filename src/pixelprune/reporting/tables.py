"""The tables of the report as CSV: one row a number with its interval, n, threat and verdict. Shares in [0, 1]."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pixelprune.evaluation.intervals import Estimate
from pixelprune.evaluation.worst_case import groups
from pixelprune.reporting import words
from pixelprune.reporting.analysis import Analysis, Comparison, corrupted, own_access, robust, share
from pixelprune.reporting.collect import FULL, Results

if TYPE_CHECKING:
    import pandas

DIGITS = 6


def accuracy(results: Results, analyses: Sequence[Analysis]) -> "pandas.DataFrame":
    """A row a strategy x training x threat x eps. Tests at the headline only; invalid: no robust accuracy."""
    rows = []
    for analysis in analyses:
        threat = analysis.threat
        for entry in analysis.entries.values():
            runs = results.of(entry.strategy, entry.training)
            for eps in threat.eps:
                headline = abs(eps - threat.headline) < 1e-9
                stands = robust(runs, threat.name, eps, own_access(entry.strategy))
                name = (entry.strategy, entry.training, threat.name, f"{eps:g}")
                at = entry.robust if headline else share(stands, groups(runs[0].rows).to_numpy(), *name)
                adaptive = entry.adaptive if headline and entry.judged.printable else None
                rows.append(
                    {
                        "strategy": entry.strategy,
                        "training": entry.training,
                        "seeds": len(results.seeds),
                        "threat": threat.name,
                        "norm": threat.norm,
                        "eps": words.radius(eps),
                        "headline": headline,
                        "attacks": " ".join(results.ladder),
                        "access": own_access(entry.strategy),
                        "kept_pixels": _round(results.strategies[entry.strategy].kept),
                        **_columns("clean", entry.clean),
                        "tested": entry.clean.n,
                        **_columns("robust", at if entry.judged.printable else None),
                        "attacked": at.n,
                        **_columns("adaptive", adaptive),
                        "adaptive_images": adaptive.n if adaptive else None,
                        **_columns("corrupted", entry.corrupted),
                        **_columns("leak", entry.leak),
                        **_compared("none", entry.against_none if headline and entry.judged.printable else None),
                        **_compared("control", entry.against_control if headline and entry.judged.printable else None),
                        "verdict": entry.judged.word,
                    }
                )
    return _frame(rows)


def decomposition(analyses: Sequence[Analysis]) -> "pandas.DataFrame":
    """A row a strategy x training x threat x term, at the headline eps. Invalid results are left out.

    The terms of evaluation.decomposition and its `both_right`, and `mask` and `left` of evaluation.moving, each on the
    images that it has.
    """
    rows = []
    for analysis in analyses:
        for entry in analysis.entries.values():
            full = analysis.entries["none", entry.training]
            if entry.decomposition is None or not (entry.judged.printable and full.judged.printable):
                continue
            terms = dict(entry.decomposition.terms)
            if entry.decomposition.both_right is not None:
                terms["both_right"] = entry.decomposition.both_right
            if entry.moving is not None:
                terms |= {"mask": entry.moving.mask, "left": entry.moving.left}
            for term, value in terms.items():
                rows.append(
                    {
                        "strategy": entry.strategy,
                        "training": entry.training,
                        "threat": analysis.threat.name,
                        "eps": words.radius(analysis.threat.headline),
                        "term": term,
                        **_columns("value", value),
                        "n": value.n,
                        "seeds": value.seeds,
                        "verdict": entry.judged.word,
                    }
                )
    names = (
        "strategy",
        "training",
        "threat",
        "eps",
        "term",
        "value",
        "value_low",
        "value_high",
        "n",
        "seeds",
        "verdict",
    )
    return _frame(rows, names)


def corruptions(results: Results) -> "pandas.DataFrame":
    """A row a strategy x training x corruption x severity."""
    rows = []
    for training in results.trainings:
        for strategy in results.strategies:
            runs = results.of(strategy, training)
            table = runs[0].corruptions
            for corruption in dict.fromkeys(table["corruption"]):
                for severity in sorted(table.loc[table["corruption"] == corruption, "severity"].unique()):
                    found = corrupted(runs, corruption, int(severity))
                    assert found is not None
                    row = {
                        "strategy": strategy,
                        "training": training,
                        "corruption": corruption,
                        "severity": int(severity),
                    }
                    rows.append(row | _columns("accuracy", found) | {"n": found.n, "seeds": found.seeds})
    names = (
        "strategy",
        "training",
        "corruption",
        "severity",
        "accuracy",
        "accuracy_low",
        "accuracy_high",
        "n",
        "seeds",
    )
    return _frame(rows, names)


def checks(results: Results) -> "pandas.DataFrame":
    """A row a run x check; where there are defenses, a column names the one that was checked."""
    keys = ("id", "title", "found", "threshold", "severity", "verdict")
    rows = []
    for run in results:
        named = {"strategy": run.strategy, "training": run.training, "seed": run.seed}
        rows += [named | {key: check[key] for key in keys} for check in run.checks]
    for one in results.defended:
        named = {"strategy": FULL, "training": one.training, "seed": one.seed, "defense": one.defense}
        rows += [named | {key: check[key] for key in keys} for check in one.checks]
    return _frame(rows)


def curves(results: Results) -> "pandas.DataFrame":
    """A row a run x epoch, for `dvc plots`."""
    import pandas

    columns = ["epoch", "train_loss", "validation_clean", "validation_robust"]
    tables = []
    for run in results:
        table = run.curve[columns].round(DIGITS)
        table.insert(0, "seed", run.seed)
        table.insert(0, "training", run.training)
        table.insert(0, "strategy", run.strategy)
        tables.append(table)
    return pandas.concat(tables, ignore_index=True)


def _frame(rows: Sequence[dict[str, Any]], names: Sequence[str] | None = None) -> "pandas.DataFrame":
    """names: the columns of a table that may have no rows."""
    import pandas

    return pandas.DataFrame(list(rows), columns=None if rows or names is None else list(names))


def _columns(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    values = (None, None, None) if estimate is None else (estimate.value, estimate.low, estimate.high)
    return {key: _round(value) for key, value in zip((name, f"{name}_low", f"{name}_high"), values, strict=True)}


def _compared(name: str, compared: Comparison | None) -> dict[str, Any]:
    columns: dict[str, Any] = _columns(f"against_{name}", compared.difference if compared else None)
    columns[f"p_{name}"] = _round(compared.p if compared else None)
    columns[f"holm_{name}"] = _round(compared.adjusted if compared else None)
    return columns


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
