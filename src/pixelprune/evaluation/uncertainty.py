"""What a posterior doubts, and whether its doubts tell the images apart on which it errs.

Sources: the parts of uncertainty, Depeweg et al., "Decomposition of Uncertainty in Bayesian Deep Learning for Efficient
and Risk-sensitive Learning", ICML 2018, section 3, arXiv:1710.07283; the area under the ROC curve as a rank statistic,
Hanley & McNeil, "The Meaning and Use of the Area under a Receiver Operating Characteristic (ROC) Curve", Radiology 143
(1982).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from pixelprune.evaluation.bootstrap import RESAMPLES

PART = 1000
"""Resamples at once."""


def predictive_entropy(each: NDArray[Any]) -> NDArray[np.float64]:
    """Of the mean probability, in nats, in [0, log K]: log-probabilities of S draws, (S, N, K) -> (N,)."""
    each = np.asarray(each, np.float64)
    return _entropy(logsumexp(each, axis=0) - np.log(len(each)))


def expected_entropy(each: NDArray[Any]) -> NDArray[np.float64]:
    """The mean over the draws of each one's own entropy: doubt that stays if the weights are known. (N,)"""
    return _entropy(np.asarray(each, np.float64)).mean(0)


def mutual_information(each: NDArray[Any]) -> NDArray[np.float64]:
    """Between class and weights, in nats, in [0, log K]: by how much knowing the weights would lower the doubt. (N,)"""
    return np.maximum(predictive_entropy(each) - expected_entropy(each), 0)


def _entropy(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    chances = np.exp(logs)
    return np.maximum(-(chances * np.where(chances > 0, logs, 0)).sum(-1), 0)


@dataclass(frozen=True)
class Auroc:
    """The chance that a positive image has a larger score than a negative one, ties half; and its 95 % interval."""

    value: float
    low: float
    high: float
    positives: int
    negatives: int

    @property
    def interval(self) -> tuple[float, float]:
        return self.low, self.high

    def __str__(self) -> str:
        """As "0.853 [0.812, 0.890], n = 100 + 200"."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}], n = {self.positives} + {self.negatives}"


def auroc(
    scores: NDArray[Any],
    positive: NDArray[np.bool_],
    groups: NDArray[Any],
    generator: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Auroc:
    """With the percentile interval of a bootstrap of groups: an image and its attacked version go together.

    scores: (N,), any order; positive: bool (N,), what a large score should tell; groups: (N,), any labels. Raises
    ValueError on other shapes, on nan, and where one of the two kinds is missing.
    """
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive, np.bool_)
    if scores.ndim != 1 or not scores.shape == positive.shape == np.shape(groups) or np.isnan(scores).any():
        raise ValueError(
            f"needs scores, kinds and groups (N,), no nan, found {scores.shape}, {positive.shape}, {np.shape(groups)}"
        )
    if positive.all() or not positive.any():
        raise ValueError("needs images of both kinds")
    levels, of_score = np.unique(scores, return_inverse=True)
    _, of_group = np.unique(groups, return_inverse=True)
    count = int(of_group.max()) + 1
    areas = []
    for start in range(0, resamples, PART):
        times = generator.multinomial(count, np.full(count, 1 / count), size=min(PART, resamples - start))[:, of_group]
        areas.append(_areas(times, of_score, positive, len(levels)))
    drawn = np.concatenate(areas)
    tail = (1 - level) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    value = _areas(np.ones((1, len(scores)), np.int64), of_score, positive, len(levels))[0]
    return Auroc(float(value), float(low), float(high), int(positive.sum()), int((~positive).sum()))


def _areas(
    times: NDArray[np.int64], of_score: NDArray[np.intp], positive: NDArray[np.bool_], levels: int
) -> NDArray[np.float64]:
    """Areas (R,) where image i counts times[r, i] times; nan where a kind is not drawn at all."""
    order = np.argsort(of_score, kind="stable")
    starts = np.searchsorted(of_score[order], np.arange(levels))
    above, below = (
        np.add.reduceat((times * kind)[:, order].astype(np.float64), starts, axis=1) for kind in (positive, ~positive)
    )
    pairs = above.sum(1) * below.sum(1)
    won = (above * (below.cumsum(1) - below / 2)).sum(1)
    return np.divide(won, pairs, out=np.full(len(times), np.nan), where=pairs > 0)
