"""Stretched rubber: a random affine map, then small local shifts. Source and severities: corruption.py.

After Simard, Steinkraus and Platt, "Best practices for convolutional neural networks", ICDAR 2003.
Ours reads each pixel through both maps at once, so it interpolates once, not twice. A larger severity trades the affine
part for the local one, so it moves pixels less far.
"""

from torch import Tensor

from pixelprune.corruptions.corruption import Draws, severities
from pixelprune.corruptions.resampling import gaussian_filter, pixel_grid, sample


@severities((0.0, 0.0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))
def elastic(images: Tensor, level: tuple[float, float, float], draws: Draws) -> Tensor:
    """level: size and smoothness of the local shifts and size of the affine ones, as shares of the height."""
    height, width = images.shape[-2:]
    local, smoothness, affine = (part * height for part in level)
    x, y = _affine(images, (2 * draws.uniform("corners", 3, 2) - 1) * affine)
    if local > 0:
        shift = gaussian_filter(2 * draws.uniform("shift", 2, height, width) - 1, smoothness) * local
        x, y = x + shift[:, 0], y + shift[:, 1]
    return sample(images, x, y, padding="reflection")


def _affine(images: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
    """Where each pixel goes under the affine map that moves three corners of a square about the centre.

    moves: columns and rows, float32 (N, 3, 2) in pixels, of the corners (+, +), (+, -), (-, -) in (x, y).
    """
    height, width = images.shape[-2:]
    corner = max(1, min(height, width) // 3)
    x, y = pixel_grid(images)
    x_share, y_share = (x - (width - 1) / 2) / (2 * corner), (y - (height - 1) / 2) / (2 * corner)
    first, second, third = moves[..., None, None].unbind(1)
    # The move is linear: equal to the three given ones at the corners, where the shares are +-1/2.
    move = (first + third) / 2 + (first - second) * y_share[:, None] + (second - third) * x_share[:, None]
    return x + move[:, 0], y + move[:, 1]
