"""Which wrong classes a targeted attack aims at, and in which order."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pixelprune.attacks.balls import Ball, dual_length
from pixelprune.attacks.estimators import Estimator
from pixelprune.attacks.losses import Towards, margin_to
from pixelprune.attacks.narrowing import Model
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws

TINY = 1e-12
TOGETHER = 3
"""Classes that an attack leads an image to at the same time: more of them fill a batch of few images, and waste passes
on an image that falls on its way to the first."""


@dataclass(frozen=True)
class Goal:
    """Which images are led to which class."""

    index: Tensor
    """int64 (M,)"""
    target: Tensor
    """int64 (N,): of the whole batch, as are the draws."""
    draws: Draws


def goals_of(worst: Worst, labels: Tensor, count: int, draws: Draws) -> Iterator[list[Goal]]:
    """The likeliest wrong classes, TOGETHER at a time, for the images that stand when their turn comes."""
    targets = likeliest(worst.logits, labels, count)
    for first in range(0, targets.shape[1], TOGETHER):
        index = worst.standing
        if len(index) == 0:
            return
        last = min(first + TOGETHER, targets.shape[1])
        yield [Goal(index, targets[:, rank], draws.branch(rank)) for rank in range(first, last)]


def likeliest(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """The wrong classes with the largest logits, largest first: int64 (N, min(count, K - 1))."""
    wrong = logits.float().scatter(1, labels[:, None], -torch.inf)
    return wrong.topk(min(count, logits.shape[1] - 1)).indices


def nearest(
    model: Model, points: Tensor, labels: Tensor, candidates: Tensor, *,
    ball: Ball, mask: Tensor, draws: Draws, estimator: Estimator,
) -> Tensor:  # fmt: skip
    """The candidates, int64 (N, M), in the order of the distance to their boundaries if the model were linear.

    The distance, in the ball's norm over the pixels of the mask: what the logits differ by over the dual length of the
    gradient of that difference. Source: Melamed, Yehudai & Shamir, "MALT Powers Up Adversarial Attacks", NeurIPS 2024,
    section 4, arXiv:2407.02240. Passes: M forward and M backward an image.
    """
    distances = []
    for target in candidates.unbind(1):
        loss = Towards(margin_to, target)
        grad, logits = estimator.gradient(model, points, labels, loss, draws)
        distances.append(-loss(logits, labels) / dual_length(grad * mask, ball).clamp(min=TINY))
    return candidates.gather(1, torch.stack(distances, 1).argsort(stable=True, dim=1))
