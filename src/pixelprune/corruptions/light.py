"""Brightness, contrast and colour. Source and severities: corruption.py."""

import torch
from torch import Tensor

from pixelprune.corruptions.corruption import Draws, severities

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


@severities(0.05, 0.1, 0.15, 0.2, 0.3)
def brightness(images: Tensor, amount: float, draws: Draws) -> Tensor:
    """Adds to the value of HSV: hue and saturation stay, so a pixel is scaled as a whole. Black becomes grey."""
    value = images.amax(1, keepdim=True)
    brighter = (value + amount).clamp(max=1)
    return torch.where(value > 0, images * (brighter / value.clamp(min=torch.finfo(value.dtype).tiny)), brighter)


@severities(0.75, 0.5, 0.4, 0.3, 0.15)
def contrast(images: Tensor, share: float, draws: Draws) -> Tensor:
    """Moves every value to its channel's mean over the image; `share` of the distance is left."""
    # Summed in double precision: the order of a float32 sum, and so its last bit, may depend on the batch.
    mean = images.mean((2, 3), keepdim=True, dtype=torch.float64).float()
    return (images - mean) * share + mean


@severities((0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2))
def saturate(images: Tensor, level: tuple[float, float], draws: Draws) -> Tensor:
    """Multiplies the saturation of HSV and adds to it; severity 1 and 2 take colour away, 3 to 5 add to it.

    Grey has hue 0 in HSV, so that severities which add turn it reddish. One-channel images have no colour and stay.
    """
    if images.shape[1] == 1:
        return images
    factor, summand = level
    value = images.amax(1, keepdim=True)
    spread = value - images.amin(1, keepdim=True)
    saturation = spread / torch.where(value > 0, value, 1)
    new_saturation = (saturation * factor + summand).clamp(0, 1)
    # How far each channel lies below the largest, in units of value x saturation: 0 to 1, which is the hue.
    red = torch.tensor([0.0, 1.0, 1.0], device=images.device).view(1, 3, 1, 1)
    hue = torch.where(spread > 0, (value - images) / torch.where(spread > 0, spread, 1), red)
    return value * (1 - new_saturation * hue)


def luma(images: Tensor) -> Tensor:
    """Brightness, (N, 1, H, W), of one or three channels."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.split(1, dim=1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def painted(color: tuple[float, float, float], images: Tensor) -> Tensor:
    """The colour, (1, C, 1, 1) as the images have channels: of one channel its brightness."""
    paint = torch.tensor(color, dtype=images.dtype, device=images.device).view(1, 3, 1, 1)
    return paint if images.shape[1] == 3 else luma(paint)
