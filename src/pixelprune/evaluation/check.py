"""What a check of an attack says: what was found, what was wanted, and whether that holds."""

from typing import Literal, TypedDict

Severity = Literal["F", "W"]
"""F: fatal, the number is not printed. W: a warning, the number is an upper bound."""


class Check(TypedDict):
    id: str
    title: str
    found: str
    threshold: str
    severity: Severity
    verdict: Literal["pass", "fail", "not run", "not applicable"]
    """One that applies and did not run counts as a warning."""


def check(id: str, title: str, found: str, threshold: str, severity: Severity, passes: bool | None) -> Check:
    """passes: None where the check does not apply."""
    verdict: Literal["pass", "fail", "not applicable"]
    verdict = "not applicable" if passes is None else "pass" if passes else "fail"
    return Check(id=id, title=title, found=found, threshold=threshold, severity=severity, verdict=verdict)


def not_run(id: str, title: str, why: str, threshold: str, severity: Severity) -> Check:
    return Check(id=id, title=title, found=why, threshold=threshold, severity=severity, verdict="not run")
