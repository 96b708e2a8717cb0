"""Noise on every value of every channel. Source and severities: corruption.py."""

import numpy as np
import torch
from torch import Tensor

from pixelprune.corruptions.corruption import Draws, severities

BRIGHTEST = 500.0
"""Photons of a white value at severity 1."""


@severities(0.04, 0.06, 0.08, 0.09, 0.10)
def gaussian_noise(images: Tensor, sigma: float, draws: Draws) -> Tensor:
    """x + N(0, sigma)."""
    return images + sigma * draws.normal("noise", *images.shape[1:])


@severities(0.06, 0.1, 0.12, 0.16, 0.2)
def speckle_noise(images: Tensor, sigma: float, draws: Draws) -> Tensor:
    """x + x N(0, sigma)."""
    return images + images * sigma * draws.normal("noise", *images.shape[1:])


@severities(BRIGHTEST, 250.0, 100.0, 75.0, 50.0)
def shot_noise(images: Tensor, photons: float, draws: Draws) -> Tensor:
    """Poisson(photons x) / photons, where `photons` is what a white value collects.

    Photons are drawn for the brightest light, and each then counts with probability photons / brightest: a thinned
    Poisson variable is Poisson, and the severities share their photons.
    """
    counts = np.empty(images.shape, np.float32)
    rates = images.cpu().numpy().astype(np.float64) * BRIGHTEST
    for count, rate, generator in zip(counts, rates, draws.generators("photons"), strict=True):
        count[...] = generator.binomial(generator.poisson(rate), photons / BRIGHTEST)
    return torch.from_numpy(counts).to(images.device) / photons


@severities(0.01, 0.02, 0.03, 0.05, 0.07)
def impulse_noise(images: Tensor, share: float, draws: Draws) -> Tensor:
    """A share of all values becomes 0 or 1, either with probability 1/2."""
    hit = draws.uniform("hit", *images.shape[1:]) < share
    salt = draws.uniform("salt", *images.shape[1:]) < 0.5
    return torch.where(hit, salt.to(images.dtype), images)
