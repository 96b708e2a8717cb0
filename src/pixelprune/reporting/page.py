"""Puts the report together: one HTML file that loads nothing, runs nothing and is the same for the same results."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from pixelprune.evaluation.intervals import Estimate, percent, points
from pixelprune.reporting import (
    defended,
    figure_background,
    figure_decomposition,
    figure_eps,
    figure_keep,
    figure_others,
    figure_smallest,
    palette,
    pictures,
    sections,
    words,
)
from pixelprune.reporting.analysis import Analysis, Entry, corrupted
from pixelprune.reporting.checks import matrix
from pixelprune.reporting.collect import FULL, Pruned, Results
from pixelprune.reporting.explained import GLOSSARY, LIMITS, STAGES, STAGES_BESIDE
from pixelprune.reporting.headline import answer
from pixelprune.reporting.judged import ORDER, Judged

TEMPLATES = ("page.html.j2", "defended.html.j2", "measured.html.j2")
SIGNS = {
    "reportable": ("✓", "pass"),
    "upper bound": ("!", "look"),
    "constant": ("✕", "fail"),
    "invalid": ("✕", "fail"),
}


def render(
    results: Results,
    analyses: Sequence[Analysis],
    lineage: Mapping[str, Any],
    defenses: Sequence[defended.Entry] = (),
    measures: Sequence[sections.Block] = (),
) -> str:
    """The page, from results and their analysis under each threat; lineage as `write` takes it."""
    first = analyses[0]
    style = stylesheet()
    first_training = sorted(results.trainings, key=lambda name: name != first.training)
    charts = [figure_decomposition.decomposition(results, one, name) for one in analyses for name in first_training]
    shown = answer(results, first)
    headline = charts[0] if not shown.failed else None
    eps_blocks = [_eps(results, one, training) for one in analyses for training in first_training]
    eps_blocks = [block for block in eps_blocks if block[1] or block[2]]
    heat = _heat(results, first)
    keep = figure_keep.keep_shares(results, first)
    checks = matrix(results, first, defenses)
    judged = [*(entry.judged for entry in first.entries.values()), *(entry.judged for entry in defenses)]
    page = _environment().get_template(TEMPLATES[0])
    parts = [
        ("results", "Table"), ("decomposition", "Decomposition"), ("eps", "eps"), ("keep", "Keep share"),
        ("pictures", "Pictures"), ("corruptions", "Corruptions"), ("defenses", "Defenses"), ("measures", "Measures"),
        ("checks", "Checks"),
        ("transfer", "Transfer"), ("threat", "Threat model"),
        ("lineage", "Lineage"), ("words", "Words"),
    ]  # fmt: skip
    some_pruned = set(results.strategies) != {"none"}
    there = {
        "decomposition": some_pruned,
        "eps": eps_blocks,
        "keep": keep,
        "corruptions": heat,
        "transfer": len(results.runs) > 1,
    }
    there |= {"defenses": bool(defenses), "measures": bool(measures)}
    absent = {name for name, content in there.items() if not content}
    return page.render(
        answer=shown,
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        sections=[part for part in parts if part[0] not in absent],
        passed=sum(one.passed for one in judged),
        counted=sum(one.counted for one in judged),
        mark=_mark(judged),
        verdict=first.head.judged.word if first.head else None,
        focus=first.focus,
        threat_line=f"{words.ball(first.threat)}, worst of {words.attack_list(results)}",
        ball=words.ball(first.threat),
        ladder=words.attack_list(results),
        headline=headline,
        more_decompositions=[chart for chart in charts if chart is not None and chart is not headline],
        blocks=[_block(results, one) for one in analyses],
        strategies=results.strategies,
        some_pruned=some_pruned,
        seeds=len(results.seeds),
        guess=max(pruned.guess for pruned in results.strategies.values()),
        eps_blocks=eps_blocks,
        keep=keep,
        background=figure_background.budgets(results, first),
        radii=figure_smallest.every_radius(results, first),
        sheets=pictures.sheets(results, first),
        sheet_columns=pictures.COLUMNS,
        data=results.data,
        segmenters=[(name, _segmenter(card)) for name, card in results.segmenters.items()],
        heat=heat,
        severity=figure_others.severities(results, first) if heat else None,
        **checks,
        defended=sections.of_defenses(defenses, first.training, pictures.allowed(results)),
        measured=measures,
        transfer=_transfer(results, first),
        threat_rows=_threats(results),
        stages=[*STAGES[:-1], *(stage[:3] for stage in STAGES_BESIDE if there[stage[3]]), STAGES[-1]],
        data_rows=_data(results.data),
        curves=figure_others.training_curves(results),
        lineage={"params": None, "params_hash": "", "inputs": {}, "versions": {}} | dict(lineage),
        limits=LIMITS,
        glossary=GLOSSARY,
        signs=SIGNS,
        runs=len(results.runs),
    )


def stylesheet() -> str:
    """page.css with the colors, the dark scheme and the tints of the corruption table."""
    tints = "".join(
        f".heat .t{step}{{background:color-mix(in srgb,var(--corrupted) {min(step, 9) * 5}%,var(--ground))}}"
        for step in range(11)
    )
    light, dark = palette.variables(palette.LIGHT), palette.variables(palette.DARK)
    return (
        f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"
        f"@media print{{:root{{{light}}}}}{_file('page.css')}{tints}"
    )


def prose(text: str) -> Markup:
    """Escaped text with `names` as code and true minus signs."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(words.minus(text)))))


def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_file), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "prose": prose,
        "minus": words.minus,
        "percent": percent,
        "points": lambda value: words.minus(points(value)),
        "probability": words.probability,
        "picture": Markup,
    }
    return environment


def _file(name: str) -> str:
    return (files("pixelprune.reporting") / name).read_text(encoding="utf-8")


def _mark(judged: Sequence[Judged]) -> tuple[str, str]:
    """The sign of all checks together, and its class."""
    if all(one.passed == one.counted for one in judged):
        return SIGNS["reportable"]
    return SIGNS[max((one.word for one in judged), key=ORDER.index)]


def _block(results: Results, analysis: Analysis) -> dict[str, Any]:
    """The entries of one threat by training: none, then the strategies, then the controls."""
    trainings = []
    best_clean: set[str] = set()
    best_robust: set[str] = set()
    for training in sorted(results.trainings, key=lambda name: name != analysis.training):
        entries = [analysis.entries[name, training] for name in results.strategies]
        entries.sort(key=lambda entry: _rank(entry.strategy, results.strategies[entry.strategy]))
        trainings.append((training, entries))
        best_clean |= _best(entries, [entry.clean for entry in entries])
        printable = [entry for entry in entries if entry.judged.printable]
        best_robust |= _best(printable, [entry.robust for entry in printable])
    return {
        "analysis": analysis,
        "ball": words.ball(analysis.threat),
        "trainings": trainings,
        "best_clean": best_clean,
        "best_robust": best_robust,
        "full_printable": {name: analysis.entries[FULL, name].judged.printable for name in results.trainings},
    }


def _rank(name: str, pruned: Pruned) -> int:
    return 0 if name == FULL else 2 if pruned.control else 1


def _best(entries: Sequence[Entry], shares: Sequence[Estimate]) -> set[str]:
    """Those whose interval reaches the interval of the best."""
    if not entries:
        return set()
    best = max(shares, key=lambda share: share.value)
    return {entry.name for entry, share in zip(entries, shares, strict=True) if share.high >= best.low}


def _eps(results: Results, analysis: Analysis, training: str) -> tuple[str, Any, Any]:
    overlay = figure_eps.overlay(results, analysis, analysis.focus, training) if analysis.focus else None
    multiples = figure_eps.small_multiples(results, analysis, training)
    return f"{training} training, {words.threat(analysis.threat)}", overlay, multiples


def _heat(results: Results, analysis: Analysis) -> dict[str, Any] | None:
    table = next(iter(results)).corruptions
    if table.empty:
        return None
    names = list(dict.fromkeys(table["corruption"]))
    trainings = []
    for training in sorted(results.trainings, key=lambda name: name != analysis.training):
        rows = []
        for strategy in sorted(results.strategies, key=lambda name: _rank(name, results.strategies[name])):
            runs = results.of(strategy, training)
            values = [corrupted(runs, name) for name in names]
            rows.append(
                {"strategy": strategy, "mean": analysis.entries[strategy, training].corrupted, "shares": values}
            )
        trainings.append((training, rows))
    levels = ", ".join(str(level) for level in sorted(table["severity"].unique()))
    return {"names": names, "trainings": trainings, "levels": levels, "n": table["image"].nunique()}


def _transfer(results: Results, analysis: Analysis) -> dict[str, Any] | None:
    """The accuracy of every run on the points made on every other."""
    table = results.transfer[results.transfer["threat"] == analysis.threat.name]
    if table.empty:
        return None
    shares = table.groupby(["target", "source"])["right"].mean()
    places = [run.place for run in results]
    rows = [(target, [shares.get((target, source)) for source in places]) for target in places]
    return {"places": places, "rows": rows, "n": table["image"].nunique()}


def _threats(results: Results) -> list[tuple[str, str]]:
    rows = []
    for name, one in results.threats.items():
        radii = ", ".join(map(words.radius, one.eps))
        rows.append((f"threat {name}", f"{words.norm(one)}, eps {radii}; headline {words.radius(one.headline)}"))
    for name, options in results.ladder.items():
        settings = ", ".join(f"{key} {value}" for key, value in options.items())
        rows.append((f"attack {name}", settings))
    first = next(iter(results))
    rows.append(
        ("images", f"{first.card['attacked']:,} attacked of {first.card['tested']:,} tested, chosen by class, fixed")
    )
    passes = [run.card.get("passes", {}) for run in results]
    spent = " and ".join(f"{sum(one.get(key, 0) for one in passes):,} {key}" for key in ("forward", "backward"))
    rows.append(("cost", f"{spent} passes of single images, over {len(results.runs)} runs"))
    rows.append(("knowledge", "weights, gradients, mask and fill"))
    rows.append(("unbounded", "L∞, eps 1, on kept pixels: gives leak∞"))
    return rows


def _data(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("name", str(data["name"])),
        ("classes", f"{len(data['classes'])}: {', '.join(map(str, data['classes'][:60]))}"),
    ]
    rows.append(("counts", ", ".join(f"{key} {value:,}" for key, value in data["counts"].items())))
    size = data.get("size")
    if size:
        rows.append(("size", " × ".join(map(str, size))))
    for key in ("groups", "source", "status", "terms"):
        if data.get(key):
            rows.append((key, str(data[key])))
    return rows


def _segmenter(card: Mapping[str, Any]) -> str:
    """What is known of a segmenter in one line; its overlap with the annotation where there is one."""
    overlap = card.get("iou")
    if isinstance(overlap, Mapping) and overlap:
        parts = [
            f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}" for key, value in overlap.items()
        ]
        return f"overlap with the annotation (IoU): {', '.join(parts)}"
    if isinstance(overlap, float):
        return f"overlap with the annotation (IoU): mean {overlap:.3f}"
    return "no annotation to compare with"
