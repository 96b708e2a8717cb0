"""Numbers as a summary holds them: nothing that JSON cannot say, and no share without its interval and n."""

from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelprune.evaluation.intervals import Rate


def rate(successes: NDArray[np.bool_]) -> dict[str, Any]:
    """The share of the images, bool (N,), with its Clopper-Pearson interval; N >= 1."""
    found = Rate(int(successes.sum()), len(successes))
    low, high = found.interval
    return {"share": found.share, "low": low, "high": high, "n": found.n}


def finite(value: float) -> float | None:
    """None in place of infinity and nan."""
    return float(value) if isfinite(value) else None
