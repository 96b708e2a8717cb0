"""Fog and snow. Source and severities: corruption.py."""

import math

import torch
from torch import Tensor

from pixelprune.corruptions.corruption import Draws, severities
from pixelprune.corruptions.light import luma
from pixelprune.corruptions.motion import streak
from pixelprune.corruptions.plasma import plasma
from pixelprune.corruptions.resampling import scale, zoom


@severities((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))
def fog(images: Tensor, level: tuple[float, float], draws: Draws) -> Tensor:
    """Adds clouds, then scales so that the brightest possible value stays. level: amount and decay of plasma.py."""
    amount, decay = level
    brightest = images.amax((1, 2, 3), keepdim=True)
    clouds = plasma(images.shape[-2], images.shape[-1], decay, draws)[:, None]
    return (images + amount * clouds) * brightest / (brightest + amount)


@severities(
    (0.1, 0.2, 1.0, 0.6, 8.0, 3.0, 0.95),
    (0.1, 0.2, 1.0, 0.5, 10.0, 4.0, 0.9),
    (0.15, 0.3, 1.75, 0.55, 10.0, 4.0, 0.9),
    (0.25, 0.3, 2.25, 0.6, 12.0, 6.0, 0.85),
    (0.3, 0.3, 1.25, 0.65, 14.0, 12.0, 0.8),
)
def snow(images: Tensor, level: tuple[float, float, float, float, float, float, float], draws: Draws) -> Tensor:
    """Falling flakes over a whitened image.

    level: mean and standard deviation of the flakes' brightness, their size, the brightness below which there is none,
    radius and sigma of their streaks (pixels at 32x32), and the share of the image that is not whitened.
    """
    mean, deviation, size, threshold, radius, sigma, share = level
    flakes = zoom(mean + deviation * draws.normal("flakes", 1, *images.shape[-2:]), size * max(1.0, scale(images)))
    flakes = torch.where(flakes < threshold, 0, flakes.clamp(max=1))
    angle = -math.pi / 4 - draws.uniform("angle") * (math.pi / 2)
    flakes = streak(flakes, radius * scale(images), sigma * scale(images), angle)
    whitened = share * images + (1 - share) * torch.maximum(images, 1.5 * luma(images) + 0.5)
    # Turned by half a circle and added, so that flakes fall in two depths.
    return whitened + flakes + flakes.flip(2, 3)
