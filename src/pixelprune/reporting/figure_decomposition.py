"""The headline figure: how each strategy's robust accuracy comes from that of the full model, term by term."""

import math
from collections.abc import Sequence

from pixelprune.evaluation.intervals import Estimate, percent, points
from pixelprune.reporting import words
from pixelprune.reporting.analysis import Analysis, Entry
from pixelprune.reporting.collect import FULL, Results
from pixelprune.reporting.figure import Figure
from pixelprune.reporting.svg import Canvas, Scale, ticks

STEPS = ("budget", "location", "clean", "hardening")
PITCH = 14.0
GAP = 16.0
TOP = 58.0


def decomposition(results: Results, analysis: Analysis, training: str) -> Figure | None:
    """None where no strategy of this training may be shown."""
    entries = [entry for entry in analysis.entries.values() if entry.training == training and entry.decomposition]
    entries = [entry for entry in entries if entry.judged.printable]
    full = analysis.entries[FULL, training]
    if not entries or not full.judged.printable:
        return None
    name = f"decomposition-{analysis.threat.name}-{training}"
    title = _title(entries, analysis)
    description = (
        f"One row a strategy, {training} training, {words.ball(analysis.threat)}, worst of "
        f"{words.attack_list(results)}, {words.sample(full.robust)} images. From the full model's robust accuracy, "
        f"{words.rate(full.robust)}, four bars (budget, location, clean, hardening) lead to the pruned network's. "
        + " ".join(f"{entry.strategy}: {_sentence(entry)}." for entry in entries)
    )
    return Figure(
        name=name,
        title=title,
        description=description,
        panels=(_draw(results, full, entries, 640, 128, f"{name}-w", title, description),),
        narrow=_draw(results, full, entries, 330, 0, f"{name}-n", title, description),
        columns=(
            "strategy",
            "full, %",
            "budget, pt",
            "location, pt",
            "clean, pt",
            "hardening, pt",
            "kept, %",
            "adaptive, %",
        ),
        rows=tuple(
            (
                entry.strategy,
                words.rate(full.robust),
                *(_terms(entry)[step].brief for step in STEPS),
                words.rate(entry.robust),
                words.rate_n(entry.moving.robust) if entry.moving else "–",
            )
            for entry in entries
        ),
        source="report/decomposition.csv",
        note=(
            f"{training} training, {words.ball(analysis.threat)}, worst of {words.attack_list(results)}, "
            f"{words.sample(full.robust)}. Whiskers: 95 % intervals, paired by image. Kept: the mask is frozen. "
            f"Adaptive: it answers the attacker, who writes everywhere{_counted(entries)}."
        ),
    )


def _counted(entries: Sequence[Entry]) -> str:
    counts = sorted({entry.moving.robust.n for entry in entries if entry.moving is not None})
    return f" (n = {' or '.join(map(str, counts))})" if counts else ": not measured"


def _terms(entry: Entry) -> dict[str, Estimate]:
    assert entry.decomposition is not None
    return entry.decomposition.terms


def _sentence(entry: Entry) -> str:
    steps = ", ".join(f"{step} {points(_terms(entry)[step].value)}" for step in STEPS)
    return f"{steps}, ends at {percent(entry.robust.value)} %"


def _title(entries: Sequence[Entry], analysis: Analysis) -> str:
    head = next((entry for entry in entries if entry.strategy == analysis.focus), entries[0])
    terms = _terms(head)
    shown = "" if terms["hardening"].excludes_zero else ", not shown to be other than zero"
    total, hardening = points(terms["total"].value), points(terms["hardening"].value)
    return words.minus(f"{head.strategy}: {total} points in all, of which {hardening} are hardening{shown}")


def _draw(
    results: Results, full: Entry, entries: Sequence[Entry], width: float, left: float, name: str, title: str, text: str
) -> str:
    """left: the width of the column of names; 0 puts them above their bars."""
    heading = 0.0 if left else 20.0
    row = heading + (6 if any(entry.moving for entry in entries) else 5) * PITCH + GAP
    canvas = Canvas(width, TOP + row * len(entries) + 34)
    low, high = _reach(full, entries)
    across = Scale(low, high, left + 8, width - 44)
    foot = TOP + row * len(entries)
    for value in ticks(low, high, 8 if left else 5):
        canvas.line(across(value), TOP - 8, across(value), foot, "grid" if value else "rule")
        canvas.text(across(value), foot + 15, words.minus(f"{100 * value:.0f}"), "axis", "middle")
    canvas.text((across(low) + across(high)) / 2, foot + 31, "robust accuracy, %", "axis", "middle")
    start = across(full.robust.value)
    canvas.rect(
        across(full.robust.low), TOP - 8, across(full.robust.high) - across(full.robust.low), foot - TOP + 8, "range"
    )
    canvas.line(start, TOP - 8, start, foot, "baseline")
    _legend(canvas, left)
    label = f"{FULL}, all pixels open: {percent(full.robust.value)} %"
    fits = start + 190 < width
    canvas.text(start if fits else width, TOP - 13, label, "label", "start" if fits else "end")
    for index, entry in enumerate(entries):
        y = TOP + index * row
        pruned = results.strategies[entry.strategy]
        style = "name control" if pruned.control else "name"
        kept = f"{100 * pruned.kept:.0f} % kept"
        if left:
            canvas.text(0, y + PITCH, entry.strategy, style)
            canvas.text(0, y + 2 * PITCH + 2, kept, "axis")
        else:
            canvas.text(0, y + 14, f"{entry.strategy} ({kept})", style)
        _waterfall(canvas, across, y + heading, full.robust.value, entry)
    return canvas.render(name, title, text, "wide" if left else "narrow")


def _waterfall(canvas: Canvas, across: Scale, y: float, level: float, entry: Entry) -> None:
    for index, step in enumerate(STEPS):
        term = _terms(entry)[step]
        top, middle = y + index * PITCH + 2, y + index * PITCH + PITCH / 2 + 0.5
        begin, end = across(level), across(level + term.value)
        canvas.rect(min(begin, end), top, max(abs(end - begin), 1), PITCH - 4, f"bar {step}")
        low, high = across(level + term.low), across(level + term.high)
        canvas.line(low, middle, high, middle, "whisker-back")
        canvas.line(low, middle, high, middle, "whisker")
        canvas.line(end, top + PITCH - 4, end, top + PITCH, "joint")
        canvas.text(max(begin, end, high) + 5, middle + 3.5, words.minus(points(term.value)), "value")
        level += term.value
    y += 4 * PITCH + PITCH / 2 + 0.5
    share = entry.robust
    canvas.line(across(share.low), y, across(share.high), y, "line robust")
    canvas.marker(across(share.value), y, "square", "dot robust")
    canvas.text(across(share.high) + 5, y + 3.5, f"{percent(share.value)} %", "value strong")
    if entry.moving is not None:
        y += PITCH
        share = entry.moving.robust
        canvas.line(across(share.low), y, across(share.high), y, "line adaptive")
        canvas.marker(across(share.value), y, "diamond", "dot adaptive")
        canvas.text(across(share.high) + 5, y + 3.5, f"{percent(share.value)} %", "value")


def _legend(canvas: Canvas, left: float) -> None:
    x = 0.0 if not left else left + 8
    for step in STEPS:
        canvas.rect(x, 6, 10, 10, f"bar {step}")
        canvas.text(x + 14, 15, step, "axis")
        x += 17 + 6.6 * len(step)
    canvas.marker(x + 4, 11, "square", "dot robust")
    canvas.text(x + 13, 15, "kept", "axis")
    canvas.marker(x + 44, 11, "diamond", "dot adaptive")
    canvas.text(x + 53, 15, "adaptive", "axis")


def _reach(full: Entry, entries: Sequence[Entry]) -> tuple[float, float]:
    values = [0.0, full.robust.low, full.robust.high]
    for entry in entries:
        level = full.robust.value
        values += [entry.robust.low, entry.robust.high]
        if entry.moving is not None:
            values += [entry.moving.robust.low, entry.moving.robust.high]
        for step in STEPS:
            term = _terms(entry)[step]
            values += [level + term.low, level + term.high]
            level += term.value
    return math.floor(10 * min(values)) / 10, max(values)
