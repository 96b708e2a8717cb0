"""Blur by one kernel, the same for all images. Source and severities: corruption.py; lengths scale with the height.

Outside the image the edge pixel is repeated; the generator mirrors for defocus_blur.
"""

import math

import torch
from torch import Tensor

from pixelprune.corruptions.corruption import Draws, severities
from pixelprune.corruptions.resampling import convolve, gaussian_filter, gaussian_taps, scale


@severities(0.4, 0.6, 0.7, 0.8, 1.0)
def gaussian_blur(images: Tensor, sigma: float, draws: Draws) -> Tensor:
    """sigma: pixels at 32x32."""
    return gaussian_filter(images, sigma * scale(images))


@severities((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))
def defocus_blur(images: Tensor, level: tuple[float, float], draws: Draws) -> Tensor:
    """A lens out of focus. level: radius of the disk, sigma of the Gaussian that softens its edge; pixels at 32x32."""
    radius, softness = level
    return convolve(images, disk(radius * scale(images), softness * scale(images), max(1, math.ceil(scale(images)))))


def disk(radius: float, softness: float, reach: int) -> Tensor:
    """Float32 square of odd sides with sum 1: the pixels within `radius`, softened by a Gaussian cut at `reach`."""
    inner = math.floor(radius)
    offsets = torch.arange(-inner - reach, inner + reach + 1)
    inside = (offsets[:, None] ** 2 + offsets[None, :] ** 2 <= radius**2).float()
    taps = gaussian_taps(softness, reach)
    # Nothing is cut at the edge: the disk ends `reach` pixels before it.
    return convolve(inside[None, None] / inside.sum(), taps[:, None] * taps[None, :])[0, 0]
