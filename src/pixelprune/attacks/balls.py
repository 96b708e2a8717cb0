"""What an attack needs to know of an lp norm. Attacks take a ball, so none of them branches on the norm.

Shapes: images, gradients and deltas float32 (N, C, H, W), masks bool (N, 1, H, W), true where the attacker may write.
Radii in units of the pixel range [0, 1]. draws: a stream for each of the N images.
"""

from math import sqrt
from typing import Annotated, Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor

from pixelprune.draws import Draws
from pixelprune.options import Options

Radius = Annotated[float, Field(ge=0)]


class Ball(Protocol):
    """All perturbations of norm <= eps, image by image."""

    @property
    def norm(self) -> str: ...

    @property
    def eps(self) -> float: ...

    def sample(self, mask: Tensor, channels: int, draws: Draws) -> Tensor:
        """A uniform point of the ball on the pixels of the mask, zero elsewhere."""

    def corner(self, mask: Tensor, channels: int, draws: Draws) -> Tensor:
        """A uniform extreme point of the ball on the pixels of the mask (a sign vector; a point of the sphere)."""

    def steepest(self, grad: Tensor) -> Tensor:
        """The direction of norm 1 that a linear loss with this gradient rises fastest along; zero where grad is."""

    def project(self, delta: Tensor) -> Tensor:
        """The point of the ball nearest to delta in the l2 distance."""

    def scaled(self, factor: float) -> "Ball":
        """The ball of that many times the radius."""

    def length(self, delta: Tensor) -> Tensor:
        """The norm of each image's delta, float32 (N,)."""

    def pace(self, speed: Tensor) -> Tensor:
        """How fast each coordinate moves on the shortest way to a plane whose weights have these sizes."""


class LinfBall(Options):
    norm: Literal["linf"] = "linf"
    eps: Radius

    def sample(self, mask: Tensor, channels: int, draws: Draws) -> Tensor:
        return (2 * draws.uniform(channels, *mask.shape[2:]) - 1) * self.eps * mask

    def corner(self, mask: Tensor, channels: int, draws: Draws) -> Tensor:
        return draws.signs(channels, *mask.shape[2:]) * self.eps * mask

    def steepest(self, grad: Tensor) -> Tensor:
        return grad.sign()

    def project(self, delta: Tensor) -> Tensor:
        return delta.clamp(-self.eps, self.eps)

    def scaled(self, factor: float) -> "LinfBall":
        return LinfBall(eps=factor * self.eps)

    def length(self, delta: Tensor) -> Tensor:
        return delta.flatten(1).abs().amax(1)

    def pace(self, speed: Tensor) -> Tensor:
        return (speed > 0).to(speed.dtype)


class L2Ball(Options):
    norm: Literal["l2"] = "l2"
    eps: Radius

    def sample(self, mask: Tensor, channels: int, draws: Draws) -> Tensor:
        dimension = channels * mask.sum((1, 2, 3), keepdim=True).clamp(min=1)
        return draws.uniform(1, 1, 1) ** (1 / dimension) * self.corner(mask, channels, draws)

    def corner(self, mask: Tensor, channels: int, draws: Draws) -> Tensor:
        return self.eps * self.steepest(draws.normal(channels, *mask.shape[2:]) * mask)

    def steepest(self, grad: Tensor) -> Tensor:
        # Scaled by the largest value first: the squares of a tiny gradient would underflow.
        tiny = torch.finfo(grad.dtype).tiny
        grad = grad / grad.abs().amax((1, 2, 3), keepdim=True).clamp(min=tiny)
        return grad / _length(grad).clamp(min=tiny)

    def project(self, delta: Tensor) -> Tensor:
        # image + delta is rounded to float32, by up to 2**-25 a value; the rounded sum shall still lie in the ball.
        radius = max(self.eps - 2**-25 * sqrt(delta[0].numel()), self.eps / 2) if len(delta) else self.eps
        return delta * (radius / _length(delta).clamp(min=max(radius, torch.finfo(delta.dtype).tiny)))

    def scaled(self, factor: float) -> "L2Ball":
        return L2Ball(eps=factor * self.eps)

    def length(self, delta: Tensor) -> Tensor:
        return _length(delta).flatten()

    def pace(self, speed: Tensor) -> Tensor:
        return speed


def inside(images: Tensor, delta: Tensor, ball: Ball) -> Tensor:
    """images + the nearest delta of the ball, in [0, 1].

    The clamp moves every pixel towards `images`, so it cannot leave the ball again.
    """
    return (images + ball.project(delta)).clamp(0, 1)


def usable(grad: Tensor, points: Tensor, mask: Tensor) -> Tensor:
    """The gradient where a step along it can change the image: on the mask, and not out of [0, 1].

    Without the second part an l2 step spends its length on pixels that the clamp puts back.
    """
    blocked = ((points <= 0) & (grad < 0)) | ((points >= 1) & (grad > 0))
    return (grad * mask).masked_fill(blocked, 0)


def dual_length(grad: Tensor, ball: Ball) -> Tensor:
    """How much a linear loss with this gradient gains by a step of norm 1: the dual norm of it, float32 (N,)."""
    return (grad * ball.steepest(grad)).sum((1, 2, 3))


def _length(delta: Tensor) -> Tensor:
    # Summed in float64: 100,000 squares in float32 are off by more than the tolerance of the ball.
    return delta.flatten(1).norm(dim=1, dtype=torch.float64).to(delta.dtype).view(-1, 1, 1, 1)
