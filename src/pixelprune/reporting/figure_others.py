"""Corruptions by severity, and the curves of training."""

from pixelprune.evaluation.intervals import percent
from pixelprune.reporting import words
from pixelprune.reporting.analysis import Analysis, corrupted
from pixelprune.reporting.collect import FULL, Results, Run
from pixelprune.reporting.figure import Axis, Figure, Point, Series, panel


def severities(results: Results, analysis: Analysis) -> Figure | None:
    """A panel a corruption: the focus, the control and the full model, in the training of the first screen."""
    first = results.of(FULL, analysis.training)[0].corruptions
    if first.empty:
        return None
    strategies = [name for name in (FULL, analysis.focus, analysis.control) if name is not None]
    roles = {
        FULL: ("control", "open"),
        analysis.focus: ("corrupted", "triangle"),
        analysis.control: ("extra", "diamond"),
    }
    levels = sorted(int(value) for value in first["severity"].unique())
    panels, rows = [], []
    for corruption in dict.fromkeys(first["corruption"]):
        lines = []
        for name in strategies:
            values = []
            for level in levels:
                share = corrupted(results.of(name, analysis.training), corruption, level)
                if share is not None:
                    values.append(Point(level, share.value, share.low, share.high))
                    rows.append((name, corruption, str(level), words.rate(share)))
            role, marker = roles[name]
            lines.append(Series(name[:12], role, marker, values, band=name == analysis.focus))
        text = "; ".join(f"{line.label}: " + ", ".join(percent(p.y) for p in line.points) for line in lines)
        axis = Axis("severity", [(level, str(level)) for level in levels])
        panels.append(
            panel(
                f"severity-{corruption}", corruption.replace("_", " "), lines, axis, description=text, size=(352, 220)
            )
        )
    return Figure(
        name="severity",
        title=_corruption_title(analysis, strategies),
        description="Accuracy against severity, a panel a corruption",
        panels=tuple(panels),
        columns=("strategy", "corruption", "severity", "accuracy, %"),
        rows=tuple(rows),
        source="report/corruptions.csv",
        note=f"{analysis.training} training, n = {first['image'].nunique():,} images; severities as in CIFAR-10-C.",
    )


def _corruption_title(analysis: Analysis, strategies: list[str]) -> str:
    shares = {name: analysis.entries[name, analysis.training].corrupted for name in strategies}
    return "Mean accuracy under corruption: " + ", ".join(f"{n} {percent(s.value)} %" for n, s in shares.items() if s)


def training_curves(results: Results) -> Figure:
    """A panel a strategy and training, first seed: validation accuracy, clean and attacked, by epoch.

    Given weights, which no epoch led to, have a row in the table alone.
    """
    panels, rows, alarms = [], [], []
    for run in results:
        if run.seed != results.seeds[0]:
            continue
        epoch = run.model["best_epoch"]
        if run.model["epochs"]:
            panels.append(_curve(run))
        best = run.curve.set_index("epoch").loc[epoch]
        shares = (percent(float(best["validation_clean"])), percent(float(best["validation_robust"])))
        rows.append((run.place, str(epoch or "given weights"), *shares, run.model.get("alarm") or "none"))
        alarms += [run.place] if run.model.get("alarm") else []
    finding = f"an alarm for {words.listed(alarms)}" if alarms else "no alarm"
    return Figure(
        name="curves",
        title=f"Training: {finding}; the attacked weights are those of the best validation epoch",
        description="Validation accuracy by epoch",
        panels=tuple(panels),
        columns=("run", "best epoch", "validation clean, %", "validation robust, %", "alarm"),
        rows=tuple(rows),
        source="metrics/curves.csv",
        note="Held-out part of the training images, never the test images. An alarm means catastrophic overfitting. "
        "Given weights may have been trained on these images.",
    )


def _curve(run: Run) -> str:
    lines = [
        Series(name, name, "", [Point(x, y, y, y) for x, y in run.curve[["epoch", f"validation_{name}"]].to_numpy()])
        for name in ("clean", "robust")
    ]
    last = int(run.curve["epoch"].max())
    axis = Axis("epoch", [(float(value), str(value)) for value in sorted({1, (1 + last) // 2, last})])
    return panel(
        f"curve-{run.strategy}-{run.training}",
        f"{run.strategy}, {run.training}",
        lines,
        axis,
        description=f"best epoch {run.model['best_epoch']} of {run.model['epochs']}",
        size=(264, 200),
        labels=56,
    )
