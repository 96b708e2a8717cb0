"""A share of images with its interval, whether one training seed was run or several."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelprune.evaluation.bootstrap import mean_interval
from pixelprune.evaluation.intervals import Estimate, Rate


def share(right: NDArray[Any], groups: NDArray[Any], generator: np.random.Generator) -> Estimate:
    """The mean of bool (S, N). One seed: Clopper-Pearson, images taken as independent; several: the bootstrap."""
    if len(right) > 1:
        return mean_interval(right, groups, generator)
    rate = Rate(int(right.sum()), right.shape[1])
    return Estimate(rate.share, *rate.interval, rate.n)
