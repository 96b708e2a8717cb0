"""Several attacks one after the other, each on the images that the ones before it left standing."""

from collections.abc import Iterable

import torch
from torch import Tensor

from pixelprune.attacks.attack import Attack
from pixelprune.attacks.balls import Ball
from pixelprune.attacks.estimators import Estimator
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws


def in_turn(
    attacks: Iterable[tuple[Attack, Draws]], model: Model, images: Tensor, labels: Tensor, *,
    ball: Ball, mask: Tensor, estimator: Estimator,
) -> Tensor:  # fmt: skip
    """The worst point of all attacks for each image; shapes and guarantees as in PGD.

    attacks: each with its streams, one an image of the whole batch.
    Passes: 1 forward an image, those of the attacks, and 1 forward more for each attack that finds it standing.
    """
    worst = Worst(model, images, labels, mask)
    for attack, draws in attacks:
        index = worst.standing
        if len(index) == 0:
            break
        part = narrow(model, index)
        points = narrow(attack, index)(
            part, images[index], labels[index],
            ball=ball, mask=mask[index], draws=draws.narrow(index), estimator=estimator,
        )  # fmt: skip
        with torch.no_grad():
            worst.see(index, points, margin(part(points), labels[index]))
    return worst.points
