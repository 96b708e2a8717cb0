"""The few numbers that `dvc metrics diff` compares between commits: short keys, shares with four digits."""

from collections.abc import Sequence
from typing import Any

from pixelprune.reporting.analysis import Analysis
from pixelprune.reporting.collect import FULL

DIGITS = 4


def summary(analyses: Sequence[Analysis]) -> dict[str, dict[str, dict[str, Any]]]:
    """{strategy: {training: {"clean", "robust", "adaptive", "budget", ..., "verdict"}}} at the headline eps.

    The first threat of params.yaml has the plain keys; of the others there is robust_THREAT. Numbers that may not be
    printed are left out.
    """
    content: dict[str, dict[str, dict[str, Any]]] = {}
    for order, analysis in enumerate(analyses):
        for (strategy, training), entry in analysis.entries.items():
            own = content.setdefault(strategy, {}).setdefault(training, {})
            suffix = f"_{analysis.threat.name}" if order else ""
            if entry.judged.printable:
                own[f"robust{suffix}"] = round(entry.robust.value, DIGITS)
            if order:
                continue
            own |= {"clean": round(entry.clean.value, DIGITS), "verdict": entry.judged.word}
            if entry.decomposition and entry.judged.printable and analysis.entries[FULL, training].judged.printable:
                terms = entry.decomposition.terms
                own |= {key: round(terms[key].value, DIGITS) for key in ("budget", "location", "feature")}
            if entry.adaptive and entry.judged.printable:
                own["adaptive"] = round(entry.adaptive.value, DIGITS)
    return content
