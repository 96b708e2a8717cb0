"""A planted adversarial example: an attack that cannot find what is known to be there proves nothing by failing.

For each image a new two-class readout of the network's own features is fitted that calls the image and many points
inside the ball 0, and one point on the ball's surface 1. The attack starts from the image and must reach class 1.
Source: Zimmermann et al., "Increasing Confidence in Adversarial Robustness Evaluations", NeurIPS 2022, section 3,
arXiv:2206.13991. Ours keeps all points on the mask, and fits the readout in closed form (linear discriminant).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pixelprune.attacks.attack import Attack
from pixelprune.attacks.balls import Ball, inside
from pixelprune.attacks.losses import margin
from pixelprune.draws import Draws
from pixelprune.fills.fill import FillOptions

INNER = 999
RADIUS = 0.95
"""Of the inner points, as a share of eps."""
RIDGE = 1e-3
AT_ONCE = 32
"""Random points of an image in one pass: small batches cost more than their share."""
FRESH = 200
"""Random points that tell whether the planted class is found without any search."""


@dataclass(frozen=True)
class Readout:
    """images (N, C, H, W) -> logits (N, 2), for these N images."""

    features: Callable[[Tensor], Tensor]
    fill: FillOptions
    mask: Tensor
    weight: Tensor
    """float32 (N, D)"""
    bias: Tensor
    """float32 (N,)"""

    def __call__(self, images: Tensor) -> Tensor:
        score = (self.features(self.fill(images, self.mask)).float() * self.weight).sum(1) - self.bias
        return torch.stack([-score, score], 1)

    def narrow(self, index: Tensor) -> "Readout":
        return Readout(self.features, self.fill, self.mask[index], self.weight[index], self.bias[index])


@dataclass(frozen=True)
class Planted:
    """bool (N,) each: a readout that tells the two apart exists; the attack found class 1; random points did."""

    planted: Tensor
    found: Tensor
    trivial: Tensor


def plant(
    features: Callable[[Tensor], Tensor], fill: FillOptions, images: Tensor, mask: Tensor, *,
    attack: Attack, ball: Ball, draws: Draws,
) -> Planted:  # fmt: skip
    """features: images -> (N, D). images float32 (N, C, H, W) in [0, 1], mask bool (N, 1, H, W), draws of these images.

    Passes: about 1,200 forward an image, and those of the attack.
    """
    smaller = ball.scaled(RADIUS)
    channels = images.shape[1]
    with torch.no_grad():
        clean = features(fill(images, mask)).float()
        total, squares = clean.clone(), clean[:, :, None] * clean[:, None]
        seen = [clean[None]]
        for some in _around(features, fill, images, mask, ball=smaller, draws=draws, count=INNER):
            seen.append(some)
            total += some.sum(0)
            squares += torch.einsum("kni,knj->nij", some, some)
        mean = total / (INNER + 1)
        spread = squares / (INNER + 1) - mean[:, :, None] * mean[:, None]
        size = spread.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12)
        goal = features(fill(inside(images, ball.corner(mask, channels, draws), ball), mask)).float()
        ridge = RIDGE * size[:, None, None] * torch.eye(spread.shape[1], device=images.device)
        weight = torch.linalg.solve(spread + ridge, goal - mean)
        weight = weight / weight.norm(dim=1, keepdim=True).clamp(min=1e-12)
        inner = torch.cat([(some * weight).sum(2) for some in seen]).amax(0)
        outer = (goal * weight).sum(1)
        model = Readout(features, fill, mask, weight, (inner + outer) / 2)
        labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        fresh = _around(features, fill, images, mask, ball=ball, draws=draws, count=FRESH)
        trivial = torch.cat([(some * weight).sum(2) for some in fresh]).amax(0) > model.bias
    points = attack(model, images, labels, ball=ball, mask=mask, draws=draws.branch(0))
    with torch.no_grad():
        found = margin(model(points), labels) > 0
    return Planted(planted=outer > inner, found=found, trivial=trivial)


def _around(
    features: Callable[[Tensor], Tensor], fill: FillOptions, images: Tensor, mask: Tensor, *,
    ball: Ball, draws: Draws, count: int,
) -> Iterator[Tensor]:  # fmt: skip
    """Features of so many random points of the ball around each image, float32 (k, N, D) at a time."""
    for start in range(0, count, AT_ONCE):
        several = min(AT_ONCE, count - start)
        points = [inside(images, ball.sample(mask, images.shape[1], draws), ball) for _ in range(several)]
        found = features(fill(torch.cat(points), mask.repeat(several, 1, 1, 1))).float()
        yield found.view(several, len(images), -1)


def penultimate(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """What the last linear layer is given: images (N, C, H, W) -> (N, D). Raises ValueError where there is none."""
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ValueError("the network has no linear layer")

    def features(images: Tensor) -> Tensor:
        caught: list[Tensor] = []
        hook = linear[-1].register_forward_pre_hook(lambda module, inputs: caught.append(inputs[0]))
        try:
            network(images)
        finally:
            hook.remove()
        return caught[-1].flatten(1)

    return features
