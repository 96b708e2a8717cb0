"""In one word, what a run's robust accuracy may be used for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Word = Literal["reportable", "upper bound", "invalid", "constant"]

BEHAVIOURS = ("static", "dynamic", "random")
_PASSES = ("pass", "not applicable")


@dataclass(frozen=True)
class Verdict:
    word: Word
    reasons: tuple[str, ...]
    """Everything that speaks against `reportable`; empty where that is the word."""


def verdict(
    checks: Sequence[Mapping[str, str]],
    behaviour: str,
    oracle: bool,
    adaptive_ran: bool,
    predictions: Collection[int] | Any,
    examined: str | None = None,
) -> Verdict:
    """From the checks (the form of checks.json), the strategy's card and the model's clean predictions.

    examined: the threat that checks asked the model under, where the number is of another one.

    constant     one class for all images: neither accuracy nor robustness mean anything
    invalid      a fatal check failed: the number is not printed
    upper bound  a warning, a check that did not run, an oracle, a threat that the model was not asked under, or a mask
                 that moves without an attack that moves it
    reportable   nothing of that
    """
    if behaviour not in BEHAVIOURS:
        raise ValueError(f"behaviour: needs one of {', '.join(BEHAVIOURS)}, found {behaviour!r}")
    fatal: list[str] = []
    warnings: list[str] = []
    for check in checks:
        _refuse_unknown(check)
        if check["verdict"] in _PASSES:
            continue
        line = f"{check['id']} {check['title']}: {check['verdict']}" + (
            f" ({check['found']})" if check["found"] else ""
        )
        (fatal if (check["severity"], check["verdict"]) == ("F", "fail") else warnings).append(line)
    if not checks:
        warnings.append("no check ran")
    if oracle:
        warnings.append("the map reads annotation or the label: nothing that could be deployed")
    if behaviour != "static" and not adaptive_ran:
        warnings.append(f"the mask is {behaviour} and no attack tried to move it")
    if examined is not None:
        warnings.append(f"the checks that ask the model did so under threat {examined} alone")
    classes = np.asarray(predictions)
    if len(classes) > 1 and len(np.unique(classes)) == 1:
        return Verdict(
            "constant", (f"the model says class {int(classes[0])} for all {len(classes)} images", *fatal, *warnings)
        )
    word: Word = "invalid" if fatal else "upper bound" if warnings else "reportable"
    return Verdict(word, (*fatal, *warnings))


def _refuse_unknown(check: Mapping[str, str]) -> None:
    """A misspelled severity must not turn a fatal check into none."""
    if check["severity"] not in ("F", "W") or check["verdict"] not in (*_PASSES, "fail", "not run"):
        raise ValueError(f"check {check['id']}: unknown severity or verdict: {check['severity']}, {check['verdict']}")
