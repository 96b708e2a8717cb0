"""How an attack gets the direction to climb. The plain gradient is one way; a defense may need another.

A randomized model needs the mean over draws (EOT), a step without a derivative a smooth stand-in (BPDA): such
estimators fit here, and every attack that takes one then works against that defense.
Source of the two names: Athalye et al., "Obfuscated Gradients ...", ICML 2018, section 4, arXiv:1802.00420.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pixelprune.attacks.losses import Loss
from pixelprune.attacks.narrowing import Model
from pixelprune.draws import Draws


class Estimator(Protocol):
    def gradient(self, model: Model, images: Tensor, labels: Tensor, loss: Loss, draws: Draws) -> tuple[Tensor, Tensor]:
        """The gradient of each image's own loss, and the logits that the model gives to these images.

        images: float32 (N, C, H, W) in [0, 1]; labels: int64 (N,). Returns float32 (N, C, H, W) and (N, K).
        Guarantees: row i depends on image i alone (losses are summed, not averaged); everything is finite, detached
        and on the images' device; the model's parameters, their .grad and its mode are as before; random draws
        come from `draws` alone; the logits are those of the true model, not of a smooth stand-in.
        """


class Plain:
    """Automatic differentiation. Zero where the model does not depend on the image."""

    def gradient(self, model: Model, images: Tensor, labels: Tensor, loss: Loss, draws: Draws) -> tuple[Tensor, Tensor]:
        images = images.detach().requires_grad_()
        with torch.enable_grad():
            logits = model(images)
            # Summed: a mean would shrink each image's gradient with the batch, and underflow in half precision.
            total = loss(logits, labels).sum()
        if not total.requires_grad:
            return torch.zeros_like(images), logits
        (grad,) = torch.autograd.grad(total, images, materialize_grads=True)
        return grad.nan_to_num(), logits.detach()


@dataclass(frozen=True)
class MeanOfDraws:
    """Expectation over transformation: the mean of several draws of a randomized model, of gradients and of logits.

    Source: Athalye et al., "Synthesizing Robust Adversarial Examples", ICML 2018, equation 2, arXiv:1707.07397.
    """

    inner: Estimator
    draws: int

    def gradient(self, model: Model, images: Tensor, labels: Tensor, loss: Loss, draws: Draws) -> tuple[Tensor, Tensor]:
        grad, logits = self.inner.gradient(model, images, labels, loss, draws)
        for _ in range(self.draws - 1):
            another, seen = self.inner.gradient(model, images, labels, loss, draws)
            grad, logits = grad + another, logits + seen
        return grad / self.draws, logits / self.draws


PLAIN = Plain()
