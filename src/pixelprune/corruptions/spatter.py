"""Drops on the lens: water at severity 1 to 3, mud at 4 and 5. Source and severities: corruption.py.

A layer of smooth noise is liquid where it is thick. Ours draws the noise so that its spread after smoothing is the same
at every size, while the rims of drops stay as many pixels wide as at 32x32.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelprune import compat
from pixelprune.corruptions.corruption import Draws, severities
from pixelprune.corruptions.light import painted
from pixelprune.corruptions.resampling import gaussian_filter, gaussian_taps, scale

TURQUOISE = (175 / 255, 238 / 255, 238 / 255)
BROWN = (63 / 255, 42 / 255, 20 / 255)
EDGE = 50, 150
"""Thresholds of Canny's edge detector on a layer of 8 bits."""
FARTHEST = 20
"""Distances from an edge count up to here; pixels."""
EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32)
SOLID = 0.8
"""Thinner mud is not seen."""


@severities(
    (0.62, 0.1, 0.7, 0.7, 0.5, "water"),
    (0.65, 0.1, 0.8, 0.7, 0.5, "water"),
    (0.65, 0.3, 1.0, 0.69, 0.5, "water"),
    (0.65, 0.1, 0.7, 0.69, 0.6, "mud"),
    (0.65, 0.1, 0.5, 0.68, 0.6, "mud"),
)
def spatter(images: Tensor, level: tuple[float, float, float, float, float, str], draws: Draws) -> Tensor:
    """Water lights up what is behind it, mud covers it.

    level: mean, standard deviation and smoothness (pixels at 32x32) of the layer, the thickness below which it is dry,
    the brightest water or the softness of mud's edges (pixels at 32x32), and which of the two it is.
    """
    mean, deviation, smoothness, dry, last, kind = level
    noise = draws.normal("layer", 1, *images.shape[-2:])
    layer = mean + deviation * smoothed(noise, smoothness, smoothness * scale(images))
    layer = torch.where(layer < dry, 0, layer)
    if kind == "mud":
        cover = gaussian_filter((layer > dry).float(), last * scale(images))
        cover = torch.where(cover < SOLID, 0, cover)
        return images * (1 - cover) + painted(BROWN, images) * cover
    light = np.stack([water(one) for one in layer[:, 0].clamp(0, 1).cpu().numpy()])[:, None]
    return images + last * painted(TURQUOISE, images) * torch.from_numpy(light).to(images)


def smoothed(noise: Tensor, spread_of: float, sigma: float) -> Tensor:
    """A Gaussian of `sigma` pixels on white noise, scaled to the spread that one of `spread_of` pixels leaves."""
    return gaussian_filter(noise, sigma) * (_spread(spread_of) / _spread(sigma))


def water(layer: NDArray[np.float32]) -> NDArray[np.float32]:
    """How bright water of this thickness is, float32 (H, W) in [0, 1], 1 at the brightest; both in [0, 1].

    The distance from the drops' edges, as a relief lit from one side, times the thickness.
    """
    cv2 = compat.cv2()
    thickness = (layer * 255).astype(np.uint8)
    distance = cv2.distanceTransform(255 - cv2.Canny(thickness, *EDGE), cv2.DIST_L2, 5)
    hills = cv2.equalizeHist(cv2.blur(np.minimum(distance, FARTHEST), (3, 3)).astype(np.uint8))
    relief = cv2.blur(cv2.filter2D(hills, cv2.CV_8U, EMBOSS), (3, 3))
    light = thickness * relief.astype(np.float32)
    return np.asarray(light / max(float(light.max()), 1.0), np.float32)


def _spread(sigma: float) -> float:
    """Standard deviation that a Gaussian filter leaves of white noise of deviation 1."""
    return float(gaussian_taps(sigma, math.floor(4 * sigma + 0.5)).square().sum())
