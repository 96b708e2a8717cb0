"""Filters and interpolation that corruptions share.

Sums run tap by tap, so that the bits of an image's result do not depend on its batch.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

TABLE_SIZE = 32
"""Side of the images that the severities are made for, in pixels."""


def scale(images: Tensor) -> float:
    """What a length of the severity table is multiplied with: the height over 32."""
    return images.shape[-2] / TABLE_SIZE


def convolve(images: Tensor, kernel: Tensor) -> Tensor:
    """Correlation with a float32 (h, w) kernel of odd sides; the edge pixel is repeated outside. Shape kept."""
    height, width = images.shape[-2:]
    rows, columns = kernel.shape
    padded = F.pad(images, (columns // 2, columns // 2, rows // 2, rows // 2), mode="replicate")
    result = torch.zeros_like(images)
    for row, column in kernel.nonzero().tolist():
        result += float(kernel[row, column]) * padded[..., row : row + height, column : column + width]
    return result


def gaussian_taps(sigma: float, radius: int) -> Tensor:
    """Float32 (2 radius + 1,), sum 1. sigma > 0 in pixels."""
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    taps = torch.exp(-(offsets**2) / (2 * sigma**2))
    return (taps / taps.sum()).float()


def gaussian_filter(images: Tensor, sigma: float) -> Tensor:
    """Gaussian of `sigma` pixels, cut at 4 sigma, as scipy.ndimage.gaussian_filter(mode="nearest")."""
    taps = gaussian_taps(sigma, math.floor(4 * sigma + 0.5))
    return convolve(convolve(images, taps[None, :]), taps[:, None])


def pixel_grid(images: Tensor) -> tuple[Tensor, Tensor]:
    """Columns x and rows y of the pixel centres, float32 (1, H, W)."""
    height, width = images.shape[-2:]
    y = torch.arange(height, dtype=torch.float32, device=images.device).view(1, -1, 1).expand(1, height, width)
    x = torch.arange(width, dtype=torch.float32, device=images.device).view(1, 1, -1).expand(1, height, width)
    return x, y


def sample(images: Tensor, x: Tensor, y: Tensor, padding: str = "border") -> Tensor:
    """Bilinear values of each image at its points: columns x and rows y in pixels, float32 (N, H, W).

    padding: "border" repeats the edge pixel outside, "reflection" mirrors at the image's edge.
    """
    height, width = images.shape[-2:]
    points = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    return F.grid_sample(images, points, mode="bilinear", padding_mode=padding, align_corners=False)


def zoom(images: Tensor, factor: float) -> Tensor:
    """Enlarged by factor >= 1 about the centre, same shape."""
    x, y = pixel_grid(images)
    height, width = images.shape[-2:]
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    x = centre_x + (x - centre_x) / factor
    y = centre_y + (y - centre_y) / factor
    return sample(images, x.expand(len(images), -1, -1), y.expand(len(images), -1, -1))
