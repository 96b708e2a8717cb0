"""Frosted glass: each pixel shows a random neighbour, between two blurs. Source and severities: corruption.py.

The generator means to swap two pixels, but its statement overwrites one of them before it is read: at 32x32 each pixel
takes the value of its neighbour and no pixel travels. Ours does that for all pixels at once and at every size.
"""

import torch
from torch import Tensor

from pixelprune.corruptions.corruption import Draws, severities
from pixelprune.corruptions.resampling import gaussian_filter, scale

ROUNDS = 2
"""The largest number of rounds of any severity."""


@severities((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))
def glass_blur(images: Tensor, level: tuple[float, int, int], draws: Draws) -> Tensor:
    """level: sigma of the blurs and reach of the neighbours, in pixels at 32x32; rounds.

    A neighbour lies -reach to reach - 1 rows and columns away; one outside the image is moved to its edge.
    """
    sigma, reach, rounds = level
    reach = max(1, round(reach * scale(images)))
    height, width = images.shape[-2:]
    steps = (draws.uniform("neighbours", ROUNDS, 2, height, width) * 2 * reach).floor().long() - reach
    rows = torch.arange(height, device=images.device)[:, None] + steps[:, :, 0]
    columns = torch.arange(width, device=images.device) + steps[:, :, 1]
    places = (rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).flatten(2)
    pixels = gaussian_filter(images, sigma * scale(images)).flatten(2)
    for turn in range(rounds):
        pixels = pixels.gather(2, places[:, turn, None].expand_as(pixels))
    return gaussian_filter(pixels.view_as(images), sigma * scale(images))
