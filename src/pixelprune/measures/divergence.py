"""How far a prediction can be moved within a ball: the largest Kullback-Leibler divergence that an ascent finds.

It climbs by the steps of APGD (Croce & Hein, ICML 2020, arXiv:2003.01690). What is found is a lower bound.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelprune.attacks.ascent import ascend, muster
from pixelprune.attacks.balls import Ball, inside
from pixelprune.attacks.estimators import PLAIN
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws


@dataclass(frozen=True)
class Divergence:
    """images -> (0, KL(clean || theirs)), float32 (N, 2): attacks on the first of these "classes" climb the divergence.

    clean: float64 (N, K), the log-probabilities of the images as they came.
    """

    model: Model
    temperature: float
    clean: Tensor

    @classmethod
    def of(cls, model: Model, images: Tensor, temperature: float) -> "Divergence":
        with torch.no_grad():
            return cls(model, temperature, _log_probabilities(model(images), temperature))

    def __call__(self, images: Tensor) -> Tensor:
        now = _log_probabilities(self.model(images), self.temperature)
        # In float64: near the clean image the sum is a difference of much larger terms.
        found = (self.clean.exp() * (self.clean - now)).sum(1).float()
        return torch.stack([torch.zeros_like(found), found], 1)

    def narrow(self, index: Tensor) -> "Divergence":
        return Divergence(narrow(self.model, index), self.temperature, self.clean[index])


class Farthest(Worst):
    """The points of the largest margin, however large: no image ever leaves."""

    def stands(self, index: Tensor) -> Tensor:
        return torch.ones_like(index, dtype=torch.bool)


def farthest(
    divergence: Divergence, images: Tensor, *, ball: Ball, mask: Tensor, steps: int, restarts: int, draws: Draws
) -> Worst:
    """points float32 (N, C, H, W) in the ball, and in `margins` their divergences, float32 (N,).

    The gradient at the image itself is zero, so it starts from random points; each second start lies opposite to the
    one before, as the divergence rises to both sides and often more to one of them.
    Passes: 1 + restarts * (steps + 1) forward, restarts * steps backward an image.
    """
    labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    everyone = torch.arange(len(images), device=images.device)
    worst = Farthest(divergence, images, labels, mask)
    for restart in range(restarts):
        delta = ball.sample(mask, images.shape[1], draws.branch(restart // 2)) * (-1) ** restart
        party = muster(divergence, margin, everyone, images, labels, mask, draws)
        ascend(party, steps, ball=ball, worst=worst, estimator=PLAIN, start=inside(images, delta, ball))
    return worst


def _log_probabilities(logits: Tensor, temperature: float) -> Tensor:
    return torch.log_softmax(logits.double() / temperature, 1)
