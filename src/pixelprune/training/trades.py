"""TRADES: clean images are to be right, and the images around them are to be judged as they are.

    mean of CE(z(x), y) + beta KL(P(x) || P(x')),   x' = the point of the ball where that divergence is largest

Source: Zhang et al., "Theoretically Principled Trade-off between Robustness and Accuracy", ICML 2019, equation 5 and
algorithm 1, arXiv:1901.08573; start, step and modes as in its reference code. Ours keeps x' - x to the mask.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from pixelprune.attacks.balls import LinfBall, inside
from pixelprune.attacks.narrowing import Model
from pixelprune.draws import Draws
from pixelprune.options import LinfDistance
from pixelprune.training.recipe import TrainingOptions

START = 1e-3
"""Standard deviation of the noise on the first x': at x itself the divergence is smallest and has no gradient."""


class TRADES(TrainingOptions):
    name: Literal["trades"] = "trades"
    eps: LinfDistance = Field(8 / 255, description="Radius of the linf ball.")
    beta: float = Field(6.0, ge=0, description="Weight of the divergence: accuracy for robustness.")
    steps: int = Field(10, ge=1, description="Gradient steps for one batch.")
    step: LinfDistance = Field(2 / 255, description="Length of each.")
    select: Literal["clean", "robust"] = "robust"
    # The reference code searches x' with the network in eval mode: by its running statistics, which stay as they are.
    perturbs_in: ClassVar[Literal["train", "eval"]] = "eval"

    @property
    def trained_eps(self) -> float:
        return self.eps

    def perturb(self, model: Model, images: Tensor, labels: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
        ball = LinfBall(eps=self.eps)
        noise = START * Draws.seeded(len(images), generator).normal(*images.shape[1:]) * mask
        adversarial = inside(images, noise, ball)
        # Not under no_grad: autocast may keep what it rounds there, and `loss` would learn nothing. torch 2.13 does not
        # keep it, but 2.8 is allowed.
        clean = model(images).detach()
        for _ in range(self.steps):
            adversarial.requires_grad_()
            (grad,) = torch.autograd.grad(divergence(clean, model(adversarial)).sum(), adversarial)
            delta = adversarial.detach() + self.step * ball.steepest(grad * mask) - images
            adversarial = inside(images, delta, ball)
        return adversarial

    def loss(self, model: Model, images: Tensor, perturbed: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        clean, logits = model(images), model(perturbed)
        return functional.cross_entropy(clean, labels) + self.beta * divergence(clean, logits).mean(), logits


def divergence(one: Tensor, other: Tensor) -> Tensor:
    """KL(P || Q) of the distributions with these logits (N, K), float32 (N,); gradients pass to both."""
    log_p, log_q = one.float().log_softmax(1), other.float().log_softmax(1)
    return (log_p.exp() * (log_p - log_q)).sum(1)
