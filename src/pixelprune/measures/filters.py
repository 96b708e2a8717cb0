"""Low-pass and high-pass filters of images, in the Fourier domain. Radii are in cycles per 32 pixels."""

from typing import Literal

import torch
from torch import Tensor

UNIT = 32
"""Pixels: what a radius counts cycles in, so that radii mean the same in images of every size."""

Shape = Literal["ideal", "gaussian"]


def distance(height: int, width: int) -> Tensor:
    """How far each frequency of `torch.fft.rfft2` lies from zero, float64 (H, W // 2 + 1), in cycles per 32 pixels."""
    down = torch.fft.fftfreq(height, dtype=torch.float64)
    right = torch.fft.rfftfreq(width, dtype=torch.float64)
    return UNIT * torch.hypot(down[:, None], right[None, :])


def low_passed(images: Tensor, radius: float, shape: Shape) -> Tensor:
    """What frequencies up to about the radius make of the images, float32 (N, C, H, W); may leave [0, 1].

    ideal: all within the radius, none beyond (it rings); gaussian: weights exp(-r**2 / (2 radius**2)). radius > 0.
    """
    far = distance(*images.shape[-2:]).to(images.device)
    weights = (far <= radius + 1e-9).double() if shape == "ideal" else torch.exp(-(far**2) / (2 * radius**2))
    spectrum = torch.fft.rfft2(images.double()) * weights
    return torch.fft.irfft2(spectrum, s=images.shape[-2:]).float()


def high_passed(images: Tensor, radius: float, shape: Shape) -> Tensor:
    """What the low-pass filter takes away, around 0: the two add up to the images."""
    return images - low_passed(images, radius, shape)
