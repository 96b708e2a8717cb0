"""Frosted glass: neighbouring pixels change places, between two blurs. Source and severities: corruption.py.

Ours swaps two pixels, which keeps the image's colours; the generator's swap overwrites one of the two.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelprune.corruptions.corruption import Draws, severities
from pixelprune.corruptions.resampling import gaussian_filter, scale

ROUNDS = 2
"""The largest number of rounds of any severity."""


@severities((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))
def glass_blur(images: Tensor, level: tuple[float, int, int], draws: Draws) -> Tensor:
    """level: sigma of the blurs and farthest swap, in pixels at 32x32; rounds of swaps."""
    sigma, reach, rounds = level
    reach = max(1, round(reach * scale(images)))
    height, width = images.shape[-2:]
    chance = draws.uniform("swaps", ROUNDS, height, width, 2).cpu().numpy()
    source = _swapped(np.floor(chance[:, :rounds] * 2 * reach).astype(np.int64) - reach)
    blurred = gaussian_filter(images, sigma * scale(images))
    index = torch.from_numpy(source).to(images.device).view(len(images), 1, -1).expand(-1, images.shape[1], -1)
    return gaussian_filter(blurred.flatten(2).gather(2, index).view_as(images), sigma * scale(images))


def _swapped(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which pixel each place ends with, int64 (N, H W), after every pixel was swapped with the one its step away.

    steps: rows and columns in [-reach, reach), int64 (N, rounds, H, W, 2). One pixel after the other, from the last
    to the first, so that a pixel can travel; a partner outside the image is moved to its edge.
    """
    count, rounds, height, width, _ = steps.shape
    source = np.tile(np.arange(height * width), (count, 1))
    image = np.arange(count)
    for turn in range(rounds):
        rows = (np.arange(height)[:, None] + steps[:, turn, :, :, 0]).clip(0, height - 1)
        columns = (np.arange(width) + steps[:, turn, :, :, 1]).clip(0, width - 1)
        partners = (rows * width + columns).reshape(count, -1).T.copy()
        for place in range(height * width - 1, -1, -1):
            other = partners[place]
            moved = source[image, other]
            source[image, other] = source[:, place]
            source[:, place] = moved
    return source
