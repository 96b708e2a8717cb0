"""One run of APGD: momentum steps whose length halves where the loss stops rising. Several attacks start it.

Source: Croce & Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
attacks", ICML 2020, algorithm 1, arXiv:2003.01690. Ours moves on the pixels of the mask only, lets an
image leave once it is fooled, and takes the last step's value without a gradient.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pixelprune.attacks.balls import Ball, inside, usable
from pixelprune.attacks.estimators import Estimator
from pixelprune.attacks.losses import Loss, TargetedLoss, Towards, margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.targets import Goal
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws

FIRST_LENGTH = 2.0
"""Of a step, as a multiple of eps."""
MOMENTUM = 0.75
RISES = 0.75
"""A step is kept where at least this share of the steps since the last checkpoint raised the loss."""


@dataclass
class Party:
    """The images of one run, all of its tensors with a row an image; those that are fooled are dropped."""

    model: Model
    loss: Loss
    index: Tensor
    """int64 (M,): where they stand in the batch that the attack was given."""
    images: Tensor
    labels: Tensor
    mask: Tensor
    draws: Draws

    def narrow(self, index: Tensor) -> "Party":
        return Party(
            narrow(self.model, index), narrow(self.loss, index), self.index[index], self.images[index],
            self.labels[index], self.mask[index], self.draws.narrow(index),
        )  # fmt: skip


def muster(
    model: Model, loss: Loss, index: Tensor, images: Tensor, labels: Tensor, mask: Tensor, draws: Draws
) -> Party:
    """The party of images[index]; all arguments but `index` are of the whole batch."""
    everybody = Party(model, loss, torch.arange(len(images), device=images.device), images, labels, mask, draws)
    return everybody.narrow(index)


def muster_for(
    model: Model, loss: TargetedLoss, goals: Sequence[Goal], images: Tensor, labels: Tensor, mask: Tensor
) -> Party:
    """A party in which an image stands once for each class that it is led to: small batches cost more than their share.

    All arguments are of the whole batch.
    """
    index = torch.cat([goal.index for goal in goals])
    return Party(
        narrow(model, index), Towards(loss, torch.cat([goal.target[goal.index] for goal in goals])), index,
        images[index], labels[index], mask[index], Draws.together([goal.draws.narrow(goal.index) for goal in goals]),
    )  # fmt: skip


def checkpoints(steps: int) -> list[int]:
    """After which steps the length is looked at again: 22, 41, 57, 70, 80, 87, 93, 99 of 100."""
    period, shorter, shortest = (max(int(share * steps), 1) for share in (0.22, 0.03, 0.06))
    found, after = [], period
    while after <= steps:
        found.append(after)
        period = max(period - shorter, shortest)
        after += period
    return found


def ascend(
    party: Party, steps: int, *, ball: Ball, worst: Worst, estimator: Estimator, start: Tensor | None = None
) -> None:
    """Climbs from `start`, float32 (M, C, H, W) inside the ball, or from a random one; `worst` sees every point.

    Passes: at most steps + 1 forward, steps backward an image.
    """
    count, channels = party.images.shape[:2]
    if start is None:
        start = inside(party.images, ball.sample(party.mask, channels, party.draws), ball)
    length = torch.full((count, 1, 1, 1), FIRST_LENGTH * ball.eps, device=start.device)
    points = before = best_points = start
    grad = best_grad = torch.zeros_like(start)
    value, best, best_at_check = (torch.full((count,), -torch.inf, device=start.device) for _ in range(3))
    rises = torch.zeros(count, device=start.device)
    halved = torch.ones(count, dtype=torch.bool, device=start.device)
    checks, last_check = set(checkpoints(steps)), 0
    for step in range(steps + 1):
        if step == steps:
            with torch.no_grad():
                worst.see(party.index, points, margin(party.model(points), party.labels))
            return
        grad, logits = estimator.gradient(party.model, points, party.labels, party.loss, party.draws)
        with torch.no_grad():
            now = party.loss(logits, party.labels)
        stands = worst.see(party.index, points, margin(logits, party.labels))
        if step:
            rises += now > value
        value, better = now, now > best
        wide = better.view(-1, 1, 1, 1)
        best = torch.where(better, now, best)  # a loss that is no number is no best one
        best_points, best_grad = torch.where(wide, points, best_points), torch.where(wide, grad, best_grad)
        if step in checks:
            enough = rises > RISES * (step - last_check)
            stuck = ~enough | (~halved & (best <= best_at_check))
            wide = stuck.view(-1, 1, 1, 1)
            length = torch.where(wide, length / 2, length)
            points, grad = torch.where(wide, best_points, points), torch.where(wide, best_grad, grad)
            halved, best_at_check, last_check = stuck, best, step
            rises = torch.zeros_like(rises)
        if not stands.all():
            party = party.narrow(stands)
            (length, points, before, best_points, grad, best_grad, value, best, best_at_check, rises, halved) = (
                values[stands] for values in (
                    length, points, before, best_points, grad, best_grad, value, best, best_at_check, rises, halved,
                )
            )  # fmt: skip
        if len(party.index) == 0:
            return
        straight = inside(
            party.images, points + length * ball.steepest(usable(grad, points, party.mask)) - party.images, ball
        )
        if step:
            straight = points + MOMENTUM * (straight - points) + (1 - MOMENTUM) * (points - before)
            straight = inside(party.images, straight - party.images, ball)
        before, points = points, straight
