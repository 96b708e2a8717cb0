"""How much is known about robust accuracy after some of the images, so that an evaluation may stop early.

The images are attacked in random order; what counts is the share of all of them, tried or not. With equal prior weight
on every possible number of robust images, its prior over posterior probability is a martingale at the true number. So
with probability 1 - delta it stays below 1 / delta **at every moment**, and looking after each image costs nothing.
**Source:** Waudby-Smith & Ramdas, "Confidence sequences for sampling without replacement", NeurIPS 2020, theorem 2.1,
arXiv:2006.04347. With that prior the ratio is 1 / ((tried + 1) times the hypergeometric probability of what was seen).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

SLACK = 1e-9
"""Of comparisons, for rounding."""


def interval(successes: int, tried: int, total: int, delta: float = 0.05) -> tuple[float, float]:
    """Bounds of the share of all `total` images, within [0, 1]; valid at all moments at once with 1 - delta.

    successes: robust images among the `tried` first ones of a random order. Needs 0 <= successes <= tried <= total,
    total >= 1 and 0 < delta < 1.
    """
    if not 0 <= successes <= tried <= total or total < 1 or not 0 < delta < 1:
        raise ValueError(
            "needs 0 <= successes <= tried <= total, total >= 1 and 0 < delta < 1, "
            f"found {successes}, {tried}, {total}, {delta}"
        )
    robust = np.arange(successes, total - tried + successes + 1)
    drawn = _log_choose(robust, successes) + _log_choose(total - robust, tried - successes) - _log_choose(total, tried)
    likely = robust[np.exp(drawn) * (tried + 1) > delta - SLACK]
    return float(likely[0] / total), float(likely[-1] / total)


def enough(successes: int, tried: int, total: int, gamma: float, delta: float = 0.05) -> bool:
    """Whether successes / tried lies within gamma of the share of all images, with probability 1 - delta."""
    if tried == 0:
        return False
    low, high = interval(successes, tried, total, delta)
    share = successes / tried
    return max(share - low, high - share) <= gamma + SLACK


def _log_choose(things: NDArray[np.int64] | int, chosen: int) -> NDArray[np.float64]:
    """How many ways there are to choose `chosen` of `things`. (scipy.stats has it, but takes a second to import.)"""
    return np.asarray(-betaln(things - chosen + 1, chosen + 1) - np.log1p(things))
