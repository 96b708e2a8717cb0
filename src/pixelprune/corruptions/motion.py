"""Blur by a moving camera. Source and severities: corruption.py; lengths scale with the height."""

import math

import torch
from torch import Tensor

from pixelprune.corruptions.corruption import Draws, severities
from pixelprune.corruptions.resampling import pixel_grid, sample, scale, zoom

STEP = 0.01
"""Between two zoom factors."""


@severities((6.0, 1.0), (6.0, 1.5), (6.0, 2.0), (8.0, 2.0), (9.0, 2.5))
def motion_blur(images: Tensor, level: tuple[float, float], draws: Draws) -> Tensor:
    """Along a line within 45 degrees of the row, one angle an image. level: radius and sigma in pixels at 32x32."""
    radius, sigma = level
    angle = (draws.uniform("angle") - 0.5) * (math.pi / 2)
    return streak(images, radius * scale(images), sigma * scale(images), angle)


@severities(1.05, 1.10, 1.15, 1.20, 1.25)
def zoom_blur(images: Tensor, largest: float, draws: Draws) -> Tensor:
    """The mean of the image and its enlargements by 1, 1.01, ..., largest. Ours does not crop to whole pixels."""
    factors = 1 + STEP * torch.arange(round((largest - 1) / STEP) + 1)
    total = images.clone()
    for factor in factors.tolist():
        total += zoom(images, factor)
    return total / (len(factors) + 1)


def streak(images: Tensor, radius: float, sigma: float, angle: Tensor) -> Tensor:
    """Half a Gaussian along a line from each pixel, as ImageMagick's motion blur; ours interpolates between pixels.

    radius, sigma: pixels; the line ends 2 radius away. angle: radians, float32 (N,), from the row downwards.
    """
    weights = torch.exp(-(torch.arange(2 * math.ceil(radius) + 1, dtype=torch.float64) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    x, y = pixel_grid(images)
    cosine, sine = torch.cos(angle).view(-1, 1, 1), torch.sin(angle).view(-1, 1, 1)
    result = torch.zeros_like(images)
    for distance, weight in enumerate(weights.tolist()):
        result += weight * sample(images, x + distance * cosine, y + distance * sine)
    return result
