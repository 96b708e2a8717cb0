"""Noisy copies of images: what SmoothGrad and VarGrad look at."""

from math import pi

import numpy as np
import torch
from torch import Tensor

from pixelprune.draws import Draws
from pixelprune.maps.many_gradients import Rows


def copies(rows: Rows, numbers: range, noise: float, seed: int) -> Tensor:
    """x + xi_j for j in numbers, float32 (n, len(numbers), C, H, W); xi_j ~ N(0, sigma^2), not clipped to [0, 1].

    sigma = noise (max x - min x), of each image. xi_j is a function of the seed, the image's id and j alone.
    """
    images, size = rows.images, rows.images[0].numel()
    own = Draws.of(rows.ids, seed, "noisy image", device=images.device).seeds
    nth = Draws.of(np.array(numbers), seed, "noisy copy", device=images.device).seeds
    # Both numbers that Box and Muller's transform makes of two: drawing takes a tenth of the map's time otherwise.
    radius, angle = Draws((own[:, None] ^ nth).flatten()).uniform(2, (size + 1) // 2).unbind(1)
    radius, angle = (-2 * torch.log1p(-radius)).sqrt(), 2 * pi * angle
    xi = torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :size]
    spread = noise * (images.amax((1, 2, 3)) - images.amin((1, 2, 3)))
    return images[:, None] + spread.view(-1, 1, 1, 1, 1) * xi.view(len(images), len(numbers), *images.shape[1:])
