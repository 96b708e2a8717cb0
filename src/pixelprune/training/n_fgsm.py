"""Adversarial training with one gradient step from a noisy start.

Source: de Jorge et al., "Make Some Noise: Reliable and Efficient Single-Step Adversarial Training", NeurIPS 2022,
algorithm 1, arXiv:2202.01181: noise uniform in k eps, a step of eps, the perturbation is not clipped to the ball.
Ours keeps both to the pixels of the mask.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from pixelprune.attacks.narrowing import Model
from pixelprune.options import LinfDistance
from pixelprune.training.recipe import TrainingOptions


class NFGSM(TrainingOptions):
    name: Literal["n_fgsm"] = "n_fgsm"
    eps: LinfDistance = Field(8 / 255, description="Length of the step, linf.")
    noise: float = Field(2.0, ge=0, description="Radius of the noise, as a multiple of eps.")
    select: Literal["clean", "robust"] = "robust"

    @property
    def trained_eps(self) -> float:
        return self.eps

    def perturb(self, model: Model, images: Tensor, labels: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
        uniform = torch.rand(images.shape, generator=generator, device=images.device)
        noisy = images + (2 * uniform - 1) * self.noise * self.eps * mask
        noisy.requires_grad_()
        (grad,) = torch.autograd.grad(functional.cross_entropy(model(noisy), labels, reduction="sum"), noisy)
        return (noisy.detach() + self.eps * grad.sign() * mask).clamp(0, 1)
