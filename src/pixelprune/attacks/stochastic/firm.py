"""A model that counts as fooled only where it errs clearly: attacks on answers by chance stop at a lucky draw else.

An attack leaves an image once the model errs by anything. Where that is the mean of a few draws, half of such points
are right again by the mean of others. A constant added to one logit leaves the gradient of the log odds as it is.
"""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from pixelprune.attacks.narrowing import Model, narrow

CLEARLY = 0.5
"""By how much the logarithm of a mean probability of fifty draws must err before an attack is content: about three
standard errors near the boundary, where single draws spread over most of [0, 1]."""


def clearly(draws: int) -> float:
    """By how much the mean of so many must err: a standard error falls with their square root."""
    return CLEARLY * sqrt(50 / draws)


@dataclass(frozen=True)
class Firm:
    """For N images, narrowed as models are: the logits, that of the right class larger by a constant."""

    model: Model
    labels: Tensor
    """int64 (N,)"""
    by: float

    def __call__(self, images: Tensor) -> Tensor:
        logits = self.model(images)
        return logits.scatter_add(1, self.labels[:, None], torch.full_like(logits[:, :1], self.by))

    def narrow(self, index: Tensor) -> "Firm":
        return Firm(narrow(self.model, index), self.labels[index], self.by)
