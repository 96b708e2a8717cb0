"""The verdict on a strategy x training: what its checks, over all its seeds, allow to be said."""

from collections.abc import Sequence
from dataclasses import dataclass

from pixelprune.evaluation.verdict import verdict
from pixelprune.reporting.collect import Run

ORDER = ("reportable", "upper bound", "constant", "invalid")
"""From what may be printed as it is to what may not be printed."""


@dataclass(frozen=True)
class Judged:
    word: str
    """One of ORDER, the worst over the seeds."""
    reasons: tuple[str, ...]
    """Why it is not `reportable`, one phrase each."""
    passed: int
    counted: int
    """Checks that apply, over all seeds."""

    @property
    def printable(self) -> bool:
        """Whether the robust accuracy may be shown as a number."""
        return self.word != "invalid"


def judge(runs: Sequence[Run], threat: str) -> Judged:
    """threat: its key; that of the numbers that are judged."""
    found = [
        verdict(
            run.checks,
            run.card["behaviour"],
            run.card["oracle"],
            adaptive_ran=bool((run.rows["access"] == "adaptive").any()),
            predictions=run.clean["pred"].to_numpy(),
            examined=run.card["examined"] if run.card["examined"] != threat else None,
        )
        for run in runs
    ]
    word = max((one.word for one in found), key=ORDER.index)
    reasons = dict.fromkeys(reason for one in found if one.word == word for reason in one.reasons)
    checks = [check["verdict"] for run in runs for check in run.checks if check["verdict"] != "not applicable"]
    return Judged(word, tuple(reasons), checks.count("pass"), len(checks))
