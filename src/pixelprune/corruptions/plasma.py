"""Clouds: random height maps by the diamond-square algorithm.

Source: Fournier, Fussell and Carpenter, "Computer rendering of stochastic models", CACM 25(6), 1982; wrapped around at
the edges, as in the CIFAR-10-C generator.
"""

import torch
from torch import Tensor

from pixelprune.corruptions.corruption import Draws


def plasma(height: int, width: int, decay: float, draws: Draws) -> Tensor:
    """Float32 (N, height, width) in [0, 1], cut from a square whose side is the next power of two, with range [0, 1].

    Every halving of the distance between known points divides the random part by decay squared.
    """
    side = 1 << (max(height, width, 2) - 1).bit_length()
    clouds = torch.zeros(len(draws.ids), side, side, device=draws.device)
    step, amplitude = side, 1.0
    while step >= 2:
        half, points = step // 2, side // step
        noise = amplitude * (2 * draws.uniform(f"plasma {step}", 3, points, points) - 1)
        corners = clouds[:, ::step, ::step]
        middles = (corners + _next(corners, 1) + _next(corners, 2) + _next(_next(corners, 1), 2)) / 4
        middles = middles + noise[:, 0]
        clouds[:, half::step, half::step] = middles
        rows = (middles + _previous(middles, 1) + corners + _next(corners, 2)) / 4
        columns = (middles + _previous(middles, 2) + corners + _next(corners, 1)) / 4
        clouds[:, ::step, half::step] = rows + noise[:, 1]
        clouds[:, half::step, ::step] = columns + noise[:, 2]
        step, amplitude = half, amplitude / decay**2
    low, high = clouds.amin((1, 2), keepdim=True), clouds.amax((1, 2), keepdim=True)
    return ((clouds - low) / (high - low))[:, :height, :width]


def _next(grid: Tensor, dim: int) -> Tensor:
    """At each place the following value, wrapped around."""
    return grid.roll(-1, dim)


def _previous(grid: Tensor, dim: int) -> Tensor:
    """At each place the value before, wrapped around."""
    return grid.roll(1, dim)
