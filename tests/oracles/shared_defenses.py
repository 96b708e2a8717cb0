"""Defenses whose right answers are known, and the networks that they stand around."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pixelprune.attacks.mean import Drawn
from pixelprune.attacks.narrowing import Model
from pixelprune.draws import Draws
from pixelprune.harness.behind import Gradient
from pixelprune.harness.ladder import Batch

H = W = 6
CLASSES = 4
Answer = Callable[[nn.Module, Gradient], Drawn]


@dataclass(frozen=True)
class Toy:
    """A defense by a function; what it declares is up to the test."""

    answer: Answer
    randomised: bool = False
    dynamic: bool = False
    batch_coupled: bool = False
    posterior: bool = False
    name: str = "toy"
    changed: Callable[[Tensor], Tensor] | None = None
    """What it makes of images, where it changes any."""

    def around(self, network: nn.Module, learned: dict[str, Tensor], gradient: Gradient = "identity") -> Drawn:
        return self.answer(network, gradient)

    def shown(self, network: nn.Module, learned: dict[str, Tensor], images: Tensor, draws: Draws) -> dict[str, Tensor]:
        return {"changed": self.changed(images)} if self.changed else {}

    def members(self, network: nn.Module, learned: dict[str, Tensor]) -> list[Model]:
        return [network, halved(network)] if self.posterior and not self.randomised else []

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        return {"name": self.name}


def as_it_is(network: nn.Module, gradient: Gradient) -> Drawn:
    return lambda images, draws: network(images)


def halved(network: nn.Module) -> Model:
    """Half as sure of everything."""
    return lambda images: network(images) / 2


def noisy(size: float) -> Answer:
    """Adds normal noise."""

    def answer(network: nn.Module, gradient: Gradient) -> Drawn:
        return lambda images, draws: network(images + size * draws.normal(*images.shape[1:]).to(images.dtype))

    return answer


class _Straight(torch.autograd.Function):
    """Levels of gray, taken for the identity where a gradient is asked for."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        return shattered(images)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


def shattered(images: Tensor) -> Tensor:
    """In steps of a hundredth: the derivative is zero everywhere."""
    return (images * 100).round() / 100


def quantized(network: nn.Module, gradient: Gradient) -> Drawn:
    """BPDA passes where the true derivative does not."""
    step = _Straight.apply if gradient == "identity" else shattered
    return lambda images, draws: network(step(images))


def repaired(size: float, chance: float = 0.0) -> Answer:
    """A step of signs towards the likeliest class, as a defense that searches takes it."""

    def answer(network: nn.Module, gradient: Gradient) -> Drawn:
        def drawn(images: Tensor, draws: Draws) -> Tensor:
            images = images + chance * draws.normal(*images.shape[1:])
            with torch.enable_grad():
                start = images.detach().requires_grad_()
                best = network(start).amax(1).sum()
                (grad,) = torch.autograd.grad(best, start)
            return network(images + size * grad.sign())

        return drawn

    return answer


def centered(network: nn.Module, gradient: Gradient) -> Drawn:
    """Takes away the mean image of the batch."""
    return lambda images, draws: network(images - 0.5 * images.mean(0, keepdim=True))


def network(classes: int = CLASSES) -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, classes))
    return layers.eval().requires_grad_(False)


def batch(count: int = 8, net: nn.Module | None = None) -> Batch:
    """Images that the network gets right, as it calls them."""
    images = 0.3 + 0.4 * torch.rand(count, 3, H, W, generator=torch.Generator().manual_seed(3))
    ids = np.arange(20, 20 + count)
    return Batch(images, (net or network())(images).argmax(1), ids, ids // 2, examples=count)
