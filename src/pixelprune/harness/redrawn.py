"""A pipeline whose mask is drawn anew each time, as the mean of several draws: what attacks climb and verdicts ask."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any

import torch
from torch import Tensor

from pixelprune.attacks.fresh import Fresh
from pixelprune.pruning import PrunedModel


@dataclass(frozen=True)
class Redrawn:
    """images float32 (N, C, H, W) -> log of the mean probability of `draws` draws, float32 (N, K), for these N images.

    Its gradient is that of the mean over the draws (EOT): Athalye et al., "Synthesizing Robust Adversarial Examples",
    ICML 2018, equation 2, arXiv:1707.07397, for the loss of the mean prediction. Memory does not grow with the draws.
    """

    pruned: PrunedModel
    fresh: Fresh
    draws: int

    def __call__(self, images: Tensor) -> Tensor:
        return torch.logsumexp(self.each(images), 0) - log(self.draws)

    def each(self, images: Tensor) -> Tensor:
        """Log-probabilities of every draw, float32 (draws, N, K)."""
        ids = self.fresh.next().integers(self.draws).T.flatten().cpu().numpy()
        masks = self.pruned.mask(images.detach().repeat(self.draws, 1, 1, 1), ids).chunk(self.draws)
        seen: Tensor = _Each.apply(images, self.pruned, masks)
        return seen

    def narrow(self, index: Tensor) -> "Redrawn":
        return replace(self, fresh=self.fresh.narrow(index))


class _Each(torch.autograd.Function):
    """What a draw computes on its way is computed again for the gradient, instead of being kept for all draws at once.

    torch.utils.checkpoint does the same, and takes seconds to import.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, pruned: PrunedModel, masks: Sequence[Tensor]) -> Tensor:
        ctx.save_for_backward(images)
        ctx.pruned, ctx.masks = pruned, masks
        return torch.stack([_log_probabilities(pruned, images, mask) for mask in masks])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (images,) = ctx.saved_tensors
        total = torch.zeros_like(images)
        for mask, grad in zip(ctx.masks, grads[0]):
            with torch.enable_grad():
                start = images.detach().requires_grad_()
                seen = _log_probabilities(ctx.pruned, start, mask)
                (own,) = torch.autograd.grad(seen, start, grad, materialize_grads=True)
            total += own
        return total, None, None


def _log_probabilities(pruned: PrunedModel, images: Tensor, mask: Tensor) -> Tensor:
    return torch.log_softmax(pruned.frozen(mask)(images), 1)


def votes(each: Tensor) -> Tensor:
    """Of the log-probabilities of every draw (draws, N, K): the share of draws that say each class, float32 (N, K)."""
    said = torch.nn.functional.one_hot(each.argmax(2), each.shape[2])
    return said.float().mean(0)
