"""A model that counts as fooled only once it is sure of a wrong class: attacks on it deceive its doubts as well.

Any attack, sent against `Confident(model, ...)`, climbs the odds of one wrong class against all others and does not
leave an image before they are reached. Where one class has probability p the entropy of K classes is at most
h(p) + (1 - p) log(K - 1), h that of a coin; and the mutual information between class and weights is below the entropy.
So of a posterior, whose mean probability is the model, every measure of uncertainty falls.
Source of the question, whether uncertainty tells adversarial images when it is attacked too: Feng et al., "Attacking
Bayes: On the Adversarial Robustness of Bayesian Neural Networks", arXiv:2404.19640. The odds as a margin are ours.
"""

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from pixelprune.attacks.narrowing import Model, narrow


@dataclass(frozen=True)
class Confident:
    """For N images, narrowed as models are: images float32 (N, C, H, W) -> float32 (N, K), 0 for the right class.

    For a wrong class: its log odds against all others, less those of probability `sure`. Its margin is positive exactly
    where a wrong class has more than that. `model` gives logits, or log-probabilities as `Mean` does; the loss that
    leads to one class is `margin`. What any attack returns for an image that it cannot fool so is the point where the
    likeliest wrong class was likeliest.
    """

    model: Model
    labels: Tensor
    """int64 (N,)"""
    sure: float = 0.95
    """In [0.5, 1)."""

    def __call__(self, images: Tensor) -> Tensor:
        """Raises ValueError where the images are not as many as the labels."""
        if len(images) != len(self.labels):
            raise ValueError(f"{len(images)} images for {len(self.labels)} labels; narrow the model with the images")
        odds = log_odds_of_each(self.model(images)) - log(self.sure / (1 - self.sure))
        return odds.scatter(1, self.labels[:, None], 0.0)

    def narrow(self, index: Tensor) -> "Confident":
        return Confident(narrow(self.model, index), self.labels[index], self.sure)


def log_odds_of_each(logits: Tensor) -> Tensor:
    """Of each class against all others, (N, K) -> (N, K): exact, with its gradient, where one is nearly certain."""
    logits = logits.float()
    own = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    others = logits[:, None, :].masked_fill(own, -torch.inf)
    return logits - others.logsumexp(2)
