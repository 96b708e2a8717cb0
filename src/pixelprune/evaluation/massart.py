"""The probability of an event, to a precision that is set beforehand, from as few draws as it turns out to need.

After each draw an interval of the probability bounds its variance: far from 1/2 fewer draws are enough than Chernoff's
bound, which holds for every probability, asks for.
**Source:** Cardelli et al., "Statistical Guarantees for the Robustness of Bayesian Neural Networks", IJCAI 2019,
arXiv:1903.01980, after Massart, "The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality", Annals of
Probability 18 (1990). Theirs counts one tail of the two and looks at the interval after every draw, so the
proof has gaps; summed over all paths of draws, it errs far less often than promised (a test does the sum).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, log

import numpy as np
import pandas
import torch
from torch import Tensor

from pixelprune.evaluation.intervals import clopper_pearson


@dataclass(frozen=True)
class Precision:
    """The estimate lies within gamma of the probability, with probability 1 - delta."""

    gamma: float = 0.075
    delta: float = 0.075
    alpha: float = 0.05
    """Of delta, what the interval may err."""

    def __post_init__(self) -> None:
        if not 0 < self.alpha < self.delta < 1 or not 0 < self.gamma < 1:
            raise ValueError(
                "needs 0 < alpha < delta < 1 and 0 < gamma < 1, "
                f"found alpha {self.alpha}, delta {self.delta}, gamma {self.gamma}"
            )

    @property
    def chernoff(self) -> int:
        """Draws that are enough whatever the probability is: Okamoto, Ann. Inst. Stat. Math. 10 (1958)."""
        return ceil(log(2 / self.delta) / (2 * self.gamma**2))


@lru_cache(maxsize=1 << 16)
def needed(successes: int, tried: int, precision: Precision) -> int:
    """Draws that are enough as far as the first `tried` of them tell; never more than Chernoff's."""
    low, high = clopper_pearson(successes, tried, 1 - precision.alpha)
    gamma = precision.gamma
    if high < 0.5:
        spread = (3 * high + gamma) * (3 * (1 - high) - gamma)
    elif low >= 0.5:
        spread = (3 * (1 - low) + gamma) * (3 * low + gamma)
    else:
        return precision.chernoff
    return min(ceil(log(1 / (precision.delta - precision.alpha)) * spread / (4.5 * gamma**2)), precision.chernoff)


class Trials:
    """Draws of N events, each event counted until its own probability is known.

    successes, tried: int64 (N,).
    """

    def __init__(self, events: int, precision: Precision) -> None:
        self.precision = precision
        self.successes = torch.zeros(events, dtype=torch.int64)
        self.tried = torch.zeros(events, dtype=torch.int64)
        self._known = torch.zeros(events, dtype=torch.bool)

    @property
    def going(self) -> Tensor:
        """int64 (M,): the events that need more draws."""
        return (~self._known).nonzero().squeeze(1)

    def see(self, index: Tensor, outcomes: Tensor) -> None:
        """One draw of each of these events, none of them twice; int64 (M,), bool (M,)."""
        index = index.cpu()
        self.successes[index] += outcomes.cpu().long()
        self.tried[index] += 1
        counts = zip(self.successes[index].tolist(), self.tried[index].tolist())
        enough = [tried >= needed(successes, tried, self.precision) for successes, tried in counts]
        self._known[index] = torch.tensor(enough, dtype=torch.bool)

    def table(self) -> pandas.DataFrame:
        """A row an event: probability, low, high, known, samples, saved (against Chernoff).

        low and high: the estimate -+ gamma where it is known; else the Clopper-Pearson interval at 1 - delta, which
        takes the draws so far as all that were planned. Every event needs a draw.
        """
        successes, tried, known = self.successes.numpy(), self.tried.numpy(), self._known.numpy()
        share, gamma = successes / tried, self.precision.gamma
        pairs = zip(successes.tolist(), tried.tolist())
        exact = np.array([clopper_pearson(*pair, 1 - self.precision.delta) for pair in pairs]).reshape(-1, 2)
        return pandas.DataFrame({
            "probability": share,
            "low": np.where(known, np.maximum(share - gamma, 0), exact[:, 0]),
            "high": np.where(known, np.minimum(share + gamma, 1), exact[:, 1]),
            "known": known, "samples": tried, "saved": np.where(known, self.precision.chernoff - tried, 0),
        })  # fmt: skip


def over_posterior(
    event: Callable[[int, Tensor], Tensor], images: int, precision: Precision = Precision()
) -> pandas.DataFrame:
    """The probability of an event at a network drawn from a posterior, for each of N images.

    event: number of the draw 0, 1, ... and which images still need it, int64 (M,) on the CPU -> bool (M,): whether it
    happened at that one network, as that the image withstood an attack on it.
    Returns Trials.table, with `image` = 0, 1, ..., N - 1. Draws: at most `precision.chernoff`.
    """
    trials = Trials(images, precision)
    for number in range(precision.chernoff):
        index = trials.going
        if len(index) == 0:
            break
        trials.see(index, event(number, index))
    table = trials.table()
    table.insert(0, "image", np.arange(images))
    return table
