"""The smallest eps at which an attack breaks each image, so that one run gives the whole curve of robust accuracy.

Bisection on a grid of radii, image by image. At each level the images that try the same radius go together, for a ball
has one; the point found in a larger ball is drawn into the smaller one first, and an image that it breaks is not
attacked. What the grid does not tell apart the curve does not either: it is exact at the radii of the grid.
"""

from collections.abc import Iterable
from math import ceil, log2

import torch
from torch import Tensor

from pixelprune.attacks.attack import Attack
from pixelprune.attacks.balls import Ball
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.in_turn import in_turn
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.replayed import Replayed
from pixelprune.attacks.twin import exactly, mistaken
from pixelprune.draws import Draws


def smallest_eps(
    attack: Attack,
    model: Model,
    images: Tensor,
    labels: Tensor,
    *,
    ball: Ball,
    mask: Tensor,
    draws: Draws,
    resolution: float,
    estimator: Estimator = PLAIN,
) -> tuple[Tensor, Tensor]:
    """The radius, float32 (N,), and a point in the ball of that radius that is wrong, float32 (N, C, H, W).

    ball: the largest that is tried. resolution: largest step of the grid, which halves ball.eps often enough.
    0 for an image that is wrong as it comes; inf, with the worst point found, for one that stands in the largest ball.
    Monotone: at the radius one step below the image stood (the attack may have missed what another finds).
    Passes: 1 forward an image; for each of at most 1 + log2(ball.eps / resolution) radii those of in_turn.
    """
    exact = exactly(model)
    cells = 2 ** max(ceil(log2(ball.eps / resolution)), 0)
    with torch.no_grad():
        wrong = margin(exact(images), labels) > 0
    stood = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    broke = torch.where(wrong, 0, cells + 1)
    points = images.clone()

    def tried(of: Model, index: Tensor, cell: int, streams: Draws) -> Tensor:
        attacks = [
            (Replayed(points[index]), draws.narrow(index)),
            (narrow(attack, index), streams.narrow(index)),
        ]
        return in_turn(
            attacks, narrow(of, index), images[index], labels[index],
            ball=ball.scaled(cell / cells), mask=mask[index], estimator=estimator,
        )  # fmt: skip

    def falls(found: Tensor, index: Tensor) -> Tensor:
        with torch.no_grad():
            return margin(narrow(exact, index)(found), labels[index]) > 0

    def attempt(index: Tensor, cell: int) -> None:
        found = tried(model, index, cell, draws.branch(cell))
        fell = falls(found, index)
        left = mistaken(narrow(model, index), found, labels[index], (~fell).nonzero().squeeze(1))
        if len(left):
            found[left] = tried(exact, index[left], cell, draws.branch(cells + cell))
            fell[left] = falls(found[left], index[left])
        broke[index[fell]] = cell
        stood[index[~fell]] = cell
        kept = fell | (broke[index] > cells)
        points[index[kept]] = found[kept]

    for index, cell in _together(~wrong, torch.full_like(stood, cells)):
        attempt(index, cell)
    while (unsure := (broke <= cells) & (broke - stood > 1)).any():
        for index, cell in _together(unsure, (stood + broke) // 2):
            attempt(index, cell)
    radius = torch.where(broke <= cells, broke * (ball.eps / cells), torch.inf)
    return radius.float(), points


def _together(chosen: Tensor, cell: Tensor) -> Iterable[tuple[Tensor, int]]:
    """The chosen images that try the same cell, int64 (M,), and the cell."""
    for value in cell[chosen].unique().tolist():
        yield (chosen & (cell == value)).nonzero().squeeze(1), value
