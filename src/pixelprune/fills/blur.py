"""A blur of the kept pixels alone: normalized convolution, (G * m x) / (G * m) with a Gaussian G.

Source: Knutsson, Westin, "Normalized and differential convolution: methods for interpolation and filtering of
incomplete and uncertain data", CVPR 1993, with the mask as certainty. A blur of the whole image would leak what was
dropped.
"""

from functools import lru_cache
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from pixelprune.fills.fill import FillOptions

FAINT = 1e-30
"""Below this total weight float32 cannot tell the kept pixels apart (about 11 sigma from the nearest)."""


class Blur(FillOptions):
    name: Literal["blur"]
    sigma: float = Field(3.0, ge=0.3, le=100, description="Standard deviation of the Gaussian, in pixels.")
    reads: ClassVar[Literal["nothing", "kept"]] = "kept"
    differentiable: ClassVar[bool] = True

    def behind(self, kept: Tensor, mask: Tensor) -> Tensor:
        """The weighted mean of the kept pixels; far from all of them their plain mean; 0.5 where none is kept.

        The Gaussian is not cut off: a wide gap takes the color of its nearest border.
        """
        down, across = (_gaussian(size, self.sigma).to(kept) for size in kept.shape[2:])
        certainty = mask.to(kept.dtype)
        weight = down @ certainty @ across
        blurred = (down @ kept @ across) / weight.clamp(min=FAINT)
        count = certainty.sum((2, 3), keepdim=True)
        plain = torch.where(count > 0, kept.sum((2, 3), keepdim=True) / count.clamp(min=1), 0.5)
        return torch.where(weight > FAINT, blurred, plain).clamp(0, 1)


@lru_cache(maxsize=8)
def _gaussian(size: int, sigma: float) -> Tensor:
    """Symmetric weights exp(-(i - j)^2 / 2 sigma^2), float32 (size, size)."""
    place = torch.arange(size, dtype=torch.float64)
    return torch.exp(-((place[:, None] - place) ** 2) / (2 * sigma**2)).float()
