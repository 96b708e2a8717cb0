"""Stability: how much of the mask that a map cuts changes when its image changes a little.

    1 - |m & m'| / |m | m'|

between the kept pixels of an image and of another within a ball around it: one where PGD makes the network change its
answer, and one with random noise of the ball's size.

Source of the question: Ghorbani, Abid, Zou, "Interpretation of Neural Networks is Fragile", AAAI 2019,
arXiv:1710.10547. The attack here climbs the network's loss, not the map's: an attack on the map itself moves more.
"""

import torch
from torch import Tensor

from pixelprune.attacks.balls import Ball, inside
from pixelprune.attacks.pgd import PGD
from pixelprune.draws import Draws
from pixelprune.measures.map_scores import Asked


def neighbours(asked: Asked, ball: Ball, steps: int, draws: Draws) -> dict[str, Tensor]:
    """Images within the ball, float32 (N, 3, H, W) in [0, 1]: the attacked ones, and ones with noise."""
    everywhere = torch.ones_like(asked.images[:, :1], dtype=torch.bool)
    noise = ball.corner(everywhere, asked.images.shape[1], draws.branch(0))
    attacked = PGD(steps=steps)(
        asked.network, asked.images, asked.predicted, ball=ball, mask=everywhere, draws=draws.branch(1)
    )
    return {"attack": attacked, "noise": inside(asked.images, noise, ball)}


def changed(first: Tensor, second: Tensor) -> Tensor:
    """Of masks bool (N, 1, H, W): 1 - intersection over union, float32 (N,) in [0, 1]."""
    both, either = (first & second).flatten(1).sum(1), (first | second).flatten(1).sum(1)
    return 1 - both / either.clamp(min=1)
