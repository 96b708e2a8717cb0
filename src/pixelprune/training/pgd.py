"""Adversarial training with projected gradient descent.

Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018, arXiv:1706.06083.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from pixelprune.attacks.balls import LinfBall
from pixelprune.attacks.narrowing import Model
from pixelprune.draws import Draws
from pixelprune.options import LinfDistance
from pixelprune.training.recipe import TrainingOptions


class PGDTraining(TrainingOptions):
    name: Literal["pgd"] = "pgd"
    eps: LinfDistance = Field(8 / 255, description="Radius of the linf ball.")
    steps: int = Field(10, ge=1, description="Gradient steps for one batch.")
    select: Literal["clean", "robust"] = "robust"

    @property
    def trained_eps(self) -> float:
        return self.eps

    def perturb(self, model: Model, images: Tensor, labels: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
        # Not attacks.pgd: that one lets fooled images go and keeps the best iterate; training wants the last of all.
        ball, length = LinfBall(eps=self.eps), max(2.5 / self.steps, 0.25) * self.eps
        draws = Draws.seeded(len(images), generator)
        adversarial = (images + ball.sample(mask, images.shape[1], draws)).clamp(0, 1)
        for _ in range(self.steps):
            adversarial.requires_grad_()
            loss = functional.cross_entropy(model(adversarial), labels, reduction="sum")
            (grad,) = torch.autograd.grad(loss, adversarial)
            delta = ball.project(adversarial.detach() + length * ball.steepest(grad * mask) - images)
            adversarial = (images + delta).clamp(0, 1)
        return adversarial
