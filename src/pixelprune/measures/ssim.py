"""Structural similarity of maps.

Source: Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to Structural Similarity",
IEEE Transactions on Image Processing 13(4), 2004, equations 13 to 17: a Gaussian window of 11 pixels and sigma 1.5.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW, SIGMA = 11, 1.5
SMALL = 0.01**2, 0.03**2
"""They keep flat places finite."""


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """Of maps (N, H, W), each stretched over [0, 1] for its image: (N,) in [-1, 1], 1 where they are equal.

    The mean over all windows inside of the image; in a smaller image the window is the largest that fits.
    """
    x, y = (_stretched(maps.double())[:, None] for maps in (first, second))
    side = min(WINDOW, *first.shape[1:])
    place = torch.arange(side, dtype=x.dtype, device=x.device) - (side - 1) / 2
    line = torch.exp(-(place**2) / (2 * SIGMA**2))
    window = (line[:, None] * line / line.sum() ** 2)[None, None]
    mean_x, mean_y, xx, yy, xy = (F.conv2d(values, window) for values in (x, y, x * x, y * y, x * y))
    luminance = (2 * mean_x * mean_y + SMALL[0]) / (mean_x**2 + mean_y**2 + SMALL[0])
    covariance, variances = xy - mean_x * mean_y, xx - mean_x**2 + yy - mean_y**2
    return (luminance * (2 * covariance + SMALL[1]) / (variances + SMALL[1])).mean((1, 2, 3))


def _stretched(maps: Tensor) -> Tensor:
    least, largest = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - least) / (largest - least).clamp(min=1e-30)
