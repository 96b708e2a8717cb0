"""A planted adversarial example: an attack that cannot find what is known to be there proves nothing by failing.

For each image a new two-class readout of the network's own features is fitted that calls the image and many points
inside the ball 0, and one point on the ball's surface 1. The attack starts from the image and must reach class 1.
Source: Zimmermann et al., "Increasing Confidence in Adversarial Robustness Evaluations", NeurIPS 2022, section 3,
arXiv:2206.13991. Ours keeps all points on the mask, and fits the readout in closed form (linear discriminant).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from pixelprune.attacks.attack import Attack
from pixelprune.attacks.balls import Ball, inside
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.draws import Draws
from pixelprune.evaluation.check import Check, Severity, check, not_run

INNER = 999
RADIUS = 0.95
"""Of the inner points, as a share of eps."""
RIDGE = 1e-3
AT_ONCE = 32
"""Random points of an image in one pass: small batches cost more than their share."""
FRESH = 200
"""Random points that tell whether the planted class is found without any search."""
THRESHOLD = "95 % of the images; random points: at most half"


@dataclass(frozen=True)
class Readout:
    """images (N, C, H, W) -> logits (N, 2), for these N images."""

    features: Model
    """images (N, C, H, W) -> (N, D), for these N images."""
    weight: Tensor
    """float32 (N, D)"""
    bias: Tensor
    """float32 (N,)"""

    def __call__(self, images: Tensor) -> Tensor:
        score = (self.features(images).float() * self.weight).sum(1) - self.bias
        return torch.stack([-score, score], 1)

    def narrow(self, index: Tensor) -> "Readout":
        return Readout(narrow(self.features, index), self.weight[index], self.bias[index])


R = TypeVar("R")


@dataclass(frozen=True)
class Planted(Generic[R]):
    readout: R
    there: Tensor
    """bool (N,): a readout that tells the planted point from all others exists."""
    trivial: Tensor
    """bool (N,): random points of the ball are class 1 as well."""


def plant(
    features: Model, images: Tensor, mask: Tensor, goal: Tensor, *, ball: Ball, draws: Draws, inner: int = INNER
) -> Planted[Readout]:
    """goal: the point to plant, on the surface of the ball. inner: points that are called 0.

    features: images -> (N, D). images float32 (N, C, H, W) in [0, 1], mask bool (N, 1, H, W), draws of these images.
    Passes: about `inner` + 200 forward an image.
    """
    smaller = ball.scaled(RADIUS)
    with torch.no_grad():
        clean = features(images).float()
        total, squares = clean.clone(), clean[:, :, None] * clean[:, None]
        seen = [clean[None]]
        for some in around(features, images, mask, ball=smaller, draws=draws, count=inner):
            seen.append(some)
            total += some.sum(0)
            squares += torch.einsum("kni,knj->nij", some, some)
        mean = total / (inner + 1)
        spread = squares / (inner + 1) - mean[:, :, None] * mean[:, None]
        size = spread.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12)
        there = features(goal).float()
        ridge = RIDGE * size[:, None, None] * torch.eye(spread.shape[1], device=images.device)
        weight = torch.linalg.solve(spread + ridge, there - mean)
        weight = weight / weight.norm(dim=1, keepdim=True).clamp(min=1e-12)
        most = torch.cat([(some * weight).sum(2) for some in seen]).amax(0)
        outer = (there * weight).sum(1)
        readout = Readout(features, weight, (most + outer) / 2)
        fresh = around(features, images, mask, ball=ball, draws=draws, count=FRESH)
        trivial = torch.cat([(some * weight).sum(2) for some in fresh]).amax(0) > readout.bias
    return Planted(readout, there=outer > most, trivial=trivial)


def found(readout: Model, images: Tensor, mask: Tensor, *, attack: Attack, ball: Ball, draws: Draws) -> Tensor:
    """bool (N,): the attack reaches class 1 from these images."""
    labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    points = attack(readout, images, labels, ball=ball, mask=mask, draws=draws)
    with torch.no_grad():
        return margin(readout(points), labels) > 0


def judged(id: str, title: str, planted: Planted[R], hits: Tensor, severity: Severity) -> Check:
    """hits: bool (N,), what the attack found. A plant that chance finds as well is a warning: it shows nothing."""
    count = int(planted.there.sum())
    got, trivial = (int((planted.there & some).sum()) for some in (hits, planted.trivial))
    words = f"{got} of {count} planted on {len(hits)} images; random points find {trivial}"
    if count == 0:
        return not_run(id, title, words, THRESHOLD, severity)
    if 2 * trivial > count:
        return check(id, title, words, THRESHOLD, "W", False)
    return check(id, title, words, THRESHOLD, severity, got >= 0.95 * count)


def around(features: Model, images: Tensor, mask: Tensor, *, ball: Ball, draws: Draws, count: int) -> Iterator[Tensor]:
    """Features of so many random points of the ball around each image, float32 (k, N, D) at a time."""
    everybody = torch.arange(len(images), device=images.device)
    for start in range(0, count, AT_ONCE):
        several = min(AT_ONCE, count - start)
        points = [inside(images, ball.sample(mask, images.shape[1], draws), ball) for _ in range(several)]
        values = narrow(features, everybody.repeat(several))(torch.cat(points)).float()
        yield values.view(several, len(images), -1)
