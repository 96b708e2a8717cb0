"""A model that answers by chance, as the mean of several draws: what attacks climb, and what verdicts ask."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import Any

import torch
from torch import Tensor

from pixelprune.attacks.fresh import Fresh
from pixelprune.attacks.narrowing import narrow
from pixelprune.draws import Draws

Drawn = Callable[[Tensor, Draws], Tensor]
"""images float32 (N, C, H, W), a stream for each -> logits (N, K): the same streams give the same logits."""


@dataclass(frozen=True)
class Mean:
    """images float32 (N, C, H, W) -> log of the mean probability of `draws` draws, float32 (N, K), for these N images.

    Its gradient is that of the mean over the draws (EOT): Athalye et al., "Synthesizing Robust Adversarial Examples",
    ICML 2018, equation 2, arXiv:1707.07397, for the loss of the mean prediction. Memory does not grow with the draws.
    """

    model: Drawn
    fresh: Fresh
    draws: int

    def __call__(self, images: Tensor) -> Tensor:
        return torch.logsumexp(self.each(images), 0) - log(self.draws)

    def each(self, images: Tensor) -> Tensor:
        """Log-probabilities of every draw, float32 (draws, N, K)."""
        seen: Tensor = _Each.apply(images, self.model, self.fresh.next(), self.draws)
        return seen

    def narrow(self, index: Tensor) -> "Mean":
        return Mean(narrow(self.model, index), self.fresh.narrow(index), self.draws)


class _Each(torch.autograd.Function):
    """What a draw computes on its way is computed again for the gradient, instead of being kept for all draws at once.

    torch.utils.checkpoint does the same, and takes seconds to import.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, model: Drawn, draws: Draws, count: int) -> Tensor:
        ctx.save_for_backward(images)
        ctx.model, ctx.draws = model, draws
        return torch.stack([_log_probabilities(model, images, draws.branch(number)) for number in range(count)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (images,) = ctx.saved_tensors
        total = torch.zeros_like(images)
        for number, grad in enumerate(grads[0]):
            with torch.enable_grad():
                start = images.detach().requires_grad_()
                seen = _log_probabilities(ctx.model, start, ctx.draws.branch(number))
                (own,) = torch.autograd.grad(seen, start, grad, materialize_grads=True)
            total += own
        return total, None, None, None


def votes(each: Tensor) -> Tensor:
    """Of the log-probabilities of every draw (draws, N, K): the share of draws that say each class, float32 (N, K)."""
    said = torch.nn.functional.one_hot(each.argmax(2), each.shape[2])
    return said.float().mean(0)


def _log_probabilities(model: Drawn, images: Tensor, draws: Draws) -> Tensor:
    return torch.log_softmax(model(images, draws), 1)
