"""The checks of all runs as a matrix, with what each is for and the worst that was found."""

from collections.abc import Mapping, Sequence
from typing import Any

from pixelprune.reporting.analysis import Analysis
from pixelprune.reporting.collect import Results
from pixelprune.reporting.defended import Entry
from pixelprune.reporting.explained import CHECKS

Mark = tuple[str, str, str]
"""Sign, class of page.css, and the words for those who do not see it."""


def mark(check: Mapping[str, Any] | None) -> Mark:
    if check is None or check["verdict"] == "not applicable":
        return "·", "soft", "not applicable"
    if check["verdict"] == "pass":
        return "✓", "pass", "pass"
    if check["verdict"] == "not run":
        return "?", "look", "not run"
    return ("✕", "fail", "fail, fatal") if check["severity"] == "F" else ("!", "look", "fail, warning")


def matrix(results: Results, analysis: Analysis, defenses: Sequence[Entry] = ()) -> dict[str, Any]:
    """check_ids, matrix (run, marks), check_rows (worst of each check) and spoken_checks (why not reportable)."""
    runs = [*results, *(entry.run for entry in defenses)]
    ids = sorted({check["id"] for run in runs for check in run.checks}, key=_number)
    rows = []
    worst: dict[str, dict[str, Any]] = {}
    order = ["·", "✓", "?", "!", "✕"]
    for run in runs:
        of_run = {check["id"]: check for check in run.checks}
        rows.append((run.place, [mark(of_run.get(key)) for key in ids]))
        for key, check in of_run.items():
            old = worst.get(key)
            if old is None or order.index(mark(check)[0]) > order.index(old["mark"][0]):
                worst[key] = dict(check) | {"mark": mark(check), "place": run.place, "why": CHECKS.get(key, "")}
    spoken: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    judged = [(entry.name, entry.judged) for entry in analysis.entries.values()]
    judged += [(entry.name, entry.judged) for entry in defenses]
    for name, one in judged:
        if one.reasons:
            spoken.setdefault((one.word, one.reasons), []).append(name)
    return {
        "check_ids": ids,
        "matrix": rows,
        "check_rows": [worst[key] for key in ids],
        "spoken_checks": [(", ".join(names), word, reasons) for (word, reasons), names in spoken.items()],
    }


def _number(key: str) -> tuple[int, str]:
    digits = "".join(letter for letter in key if letter.isdigit())
    return int(digits or 0), key
