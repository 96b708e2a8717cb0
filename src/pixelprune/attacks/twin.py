"""A model and a cheap copy of it: attacks search on the copy, and what decides is computed by the model itself."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelprune.attacks.attack import Attack
from pixelprune.attacks.balls import Ball
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.draws import Draws


@dataclass(frozen=True)
class Twin:
    """A model for attacks, which need not know that it is two. Both halves are narrowed together.

    Every pass, with a gradient or without, is one of `copy`. Images whose two largest logits lie nearer to each other
    than `error` allows for are classified again by `model`: as far as `error` holds, every image gets the class that
    `model` predicts. The gradient is the copy's there too.
    """

    model: Model
    copy: Model
    error: float
    """By how much a difference of two logits may be off, as a share of the image's largest logit."""

    def __call__(self, images: Tensor) -> Tensor:
        """Logits float32 (N, K)."""
        logits = self.copy(images)
        with torch.no_grad():
            first, second = logits.topk(2).values.unbind(1)
            near = first - second < self.error * logits.abs().amax(1)
            if not near.any():
                return logits
            exact = logits.clone()
            exact[near] = narrow(self.model, near)(images[near])
        return logits + (exact - logits).detach()

    def narrow(self, index: Tensor) -> "Twin":
        return Twin(narrow(self.model, index), narrow(self.copy, index), self.error)


def exactly(model: Model) -> Model:
    """The model itself, for a search that keeps the best of thousands of points: of a copy's answers it would collect
    those that err the most.
    """
    return model.model if isinstance(model, Twin) else model


def roughly(model: Model) -> Model:
    """The copy alone, for a search that stays on the boundary, where a model of two halves would ask both each time."""
    return model.copy if isinstance(model, Twin) else model


def mistaken(model: Model, points: Tensor, labels: Tensor, stand: Tensor) -> Tensor:
    """Of the rows `stand`, int64, which the model itself gets right at these points, those that its copy does not.

    An attack leaves such an image for good, though nothing was found.
    """
    if not isinstance(model, Twin) or len(stand) == 0:
        return stand[:0]
    with torch.no_grad():
        return stand[margin(narrow(model, stand)(points[stand]), labels[stand]) > 0]


def settled(
    attack: Attack, model: Model, images: Tensor, labels: Tensor, *, ball: Ball, mask: Tensor, draws: Draws
) -> Tensor:
    """The attack's points; an image that only the copy gets wrong is attacked again, on the model itself."""
    points = attack(model, images, labels, ball=ball, mask=mask, draws=draws).clone()  # it may be the images themselves
    with torch.no_grad():
        stand = (margin(exactly(model)(points), labels) <= 0).nonzero().squeeze(1)
    left = mistaken(model, points, labels, stand)
    if len(left):
        points[left] = narrow(attack, left)(
            narrow(exactly(model), left), images[left], labels[left],
            ball=ball, mask=mask[left], draws=draws.branch(1).narrow(left),
        )  # fmt: skip
    return points


def error(model: Model) -> float:
    """Of a difference of two logits of the copy, as a share of the image's largest logit; 0 where there is no copy."""
    return model.error if isinstance(model, Twin) else 0.0


def unsure(model: Model, margins: Tensor, scale: Tensor) -> Tensor:
    """bool (N,): whose margins are so small that the copy could have the wrong sign; scale: of their logits, (N,)."""
    return margins.abs() < error(model) * scale
