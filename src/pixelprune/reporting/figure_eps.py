"""Accuracy against the radius of the attack, beside what "fewer pixels to write on" alone would give."""

from pixelprune.evaluation.intervals import Estimate, percent
from pixelprune.evaluation.nulls import curve, nulls, scales
from pixelprune.evaluation.worst_case import groups
from pixelprune.reporting import words
from pixelprune.reporting.analysis import Analysis, share
from pixelprune.reporting.collect import FULL, Results, ThreatEntry
from pixelprune.reporting.figure import Axis, Figure, Point, Series, panel
from pixelprune.sampling import numpy_generator

Curve = dict[float, Estimate]
"""Radius, 0 first -> accuracy of the attacked images."""


def small_multiples(results: Results, analysis: Analysis, training: str) -> Figure | None:
    """A panel a strategy: the pruned network under kept access, beside the full network under full access."""
    threat = analysis.threat
    if not analysis.entries[FULL, training].judged.printable:
        return None
    full = measured(results, threat, FULL, training, "full")
    panels, rows, above = [], _table(FULL, "full", full), []
    for strategy in results.strategies:
        if strategy == FULL or not analysis.entries[strategy, training].judged.printable:
            continue
        own = measured(results, threat, strategy, training, "kept")
        rows += _table(strategy, "kept", own)
        lines = [
            Series(FULL, "control", "open", _points(full)),
            Series(strategy[:12], "robust", "square", _points(own)),
        ]
        name = f"eps-{threat.name}-{training}-{strategy}"
        text = f"{training} training. {strategy}: {_spoken(own)}. {FULL}: {_spoken(full)}."
        panels.append(panel(name, strategy, lines, eps_axis(threat), chance=_chance(results), description=text))
        above += [strategy] if all(own[eps].value >= full[eps].value for eps in threat.eps) else []
    if not panels:
        return None
    names = words.listed(above) if above else "no strategy"
    stand = "stand" if len(above) > 1 else "stands"
    return Figure(
        name=f"eps-{threat.name}-{training}",
        title=f"At every eps, {names} {stand} on at least as many images as {FULL} does",
        description=f"{training} training, {words.norm(threat)}",
        panels=tuple(panels),
        columns=("strategy", "access", "eps", "accuracy, %"),
        rows=tuple(rows),
        source=f"results/*/{training}/*/rows.parquet",
        note=(
            f"{training} training, {words.norm(threat)}, worst of {words.attack_list(results)}, "
            f"{words.sample(full[0.0])}. eps 0 is clean. Bands: 95 % intervals of each rate alone. A larger observed "
            "rate is not yet a shown difference; the table above has the tests."
        ),
    )


def overlay(results: Results, analysis: Analysis, strategy: str, training: str) -> Figure | None:
    """One strategy's budget and kept curves against both nulls, from the full model's curve."""
    threat, keep = analysis.threat, results.strategies[strategy].kept
    if not all(analysis.entries[name, training].judged.printable for name in (strategy, FULL)):
        return None
    full = measured(results, threat, FULL, training, "full")
    budget = measured(results, threat, strategy, training, "budget")
    kept = measured(results, threat, strategy, training, "kept")
    rows = results.of(FULL, training)[0].rows
    generator = numpy_generator("nulls", strategy, training, threat.name)
    expected = nulls(rows, threat.name, threat.norm, keep, [0.0, *threat.eps], generator)
    lines = {
        key: [Point(one.eps, one.accuracy.value, one.accuracy.low, one.accuracy.high) for one in values if one.accuracy]
        for key, values in expected.items()
    }
    fixed, retrained = scales(keep, threat.norm)
    series = [
        Series("full", "control", "open", _points(full)),
        Series("budget", "clean", "circle", _points(budget), band=False),
        Series(f"full at {fixed:.2f} eps", "clean null", "", lines["budget"], band=False),
        Series("kept", "robust", "square", _points(kept)),
        Series(f"full at {retrained:.2f} eps", "robust null", "", lines["kept"], band=False),
    ]
    name = f"nulls-{threat.name}-{training}-{strategy}"
    title = _finding(strategy, kept, lines["kept"], threat)
    text = f"{strategy}, {training} training. budget: {_spoken(budget)}. kept: {_spoken(kept)}. full: {_spoken(full)}."
    table = [*_table(FULL, "full", full), *_table(strategy, "budget", budget), *_table(strategy, "kept", kept)]
    for key, line in lines.items():
        shown = {p.x: Estimate(p.y, p.low, p.high, full[0.0].n) for p in line}
        table += _table(FULL, f"expected of {key}", shown)
    heading = f"{strategy}, {training} training"

    def draw(key: str, style: str, size: tuple[float, float], labels: float) -> str:
        return panel(
            f"{name}-{key}", heading, series, eps_axis(threat),
            chance=_chance(results), size=size, description=text, labels=labels, style=style,
        )  # fmt: skip

    return Figure(
        name=name,
        title=title,
        description=text,
        panels=(draw("w", "wide", (720, 340), 130),),
        narrow=draw("n", "narrow", (340, 320), 104),
        columns=("strategy", "access", "eps", "accuracy, %"),
        rows=tuple(table),
        source=f"results/{{{FULL},{strategy}}}/{training}/*/rows.parquet",
        note=(
            f"Dashed: the full model's curve read at a smaller eps, as if nothing mattered but that {100 * keep:.0f} % "
            "of the pixels can be written on: of a fixed network (compare with budget) and of one trained anew "
            "(compare with kept). Agreement suggests fewer pixels and proves nothing; "
            "disagreement needs another explanation." + (" Dashed lines: first seed." if len(results.seeds) > 1 else "")
        ),
    )


def measured(results: Results, threat: ThreatEntry, strategy: str, training: str, access: str) -> Curve:
    """Accuracy at radius 0 (clean, of the model that the access attacks) and at every measured radius."""
    import numpy as np

    runs = results.of(strategy, training)
    tables = [curve(run.rows, access, threat.name) for run in runs]
    of_image = groups(runs[0].rows).to_numpy()
    return {
        float(eps): share(
            np.stack([table[eps].to_numpy() > 0.5 for table in tables]),
            of_image,
            strategy,
            training,
            access,
            f"{eps:g}",
        )
        for eps in tables[0].columns
    }


def _finding(strategy: str, kept: Curve, null: list[Point], threat: ThreatEntry) -> str:
    expected = next((point for point in null if abs(point.x - threat.headline) < 1e-9), None)
    if expected is None:
        return f"{strategy}: what fewer pixels alone would give lies beyond the measured radii"
    own = kept[min(kept, key=lambda eps: abs(eps - threat.headline))]
    return (
        f"{strategy}, at {words.ball(threat)}: {percent(own.value)} % of the images stand; "
        f"fewer pixels alone would give {percent(expected.y)} %"
    )


def _points(values: Curve) -> list[Point]:
    return [Point(eps, one.value, one.low, one.high) for eps, one in values.items()]


def _table(strategy: str, access: str, values: Curve) -> list[tuple[str, ...]]:
    return [(strategy, access, words.radius(eps), words.rate(one)) for eps, one in values.items()]


def _spoken(values: Curve) -> str:
    return ", ".join(f"{100 * one.value:.1f} % at eps {words.radius(eps)}" for eps, one in values.items())


def eps_axis(threat: ThreatEntry) -> Axis:
    whole = all(words.radius(eps).endswith("/255") for eps in threat.eps)
    if whole:
        ticks = [(eps, f"{eps * 255:.3g}") for eps in (0.0, *threat.eps)]
        return Axis(f"eps, {words.norm(threat)}, 1/255", ticks)
    return Axis(f"eps, {words.norm(threat)}", [(eps, f"{eps:.3g}") for eps in (0.0, *threat.eps)])


def _chance(results: Results) -> float:
    return 1 / len(results.data["classes"])
