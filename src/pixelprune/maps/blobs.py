"""Random blobs with the foreground's area: smooth noise of each image id, cut where it is as large as the foreground.

A control beside `shifted`: same area, but another shape.
"""

from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from pixelprune import sampling
from pixelprune.maps.map import Ids, MapOptions, Segmentation, Source


class Blobs(MapOptions):
    name: Literal["blobs"]
    reads: Segmentation
    size: float = Field(0.1, gt=0, le=1, description="Width of the noise's Gaussian, as a share of the shorter side.")
    seed: int = Field(0, ge=0, description="Draws the noise, with the image's id.")
    needs: ClassVar[Literal["nothing", "foreground", "model"]] = "foreground"
    behaviour: ClassVar[Literal["static", "dynamic"]] = "dynamic"
    has_region: ClassVar[bool] = True

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """In [0, 1]; as many pixels above 0.5 as the foreground has, in float16 as well. No gradient passes."""
        foreground = source.probability(images, ids).detach()
        area = (foreground.half() > 0.5).flatten(1).sum(1).cpu().numpy()
        height, width = images.shape[2:]
        maps = np.empty((len(ids), height, width), np.float32)
        for row, image in enumerate(ids):
            maps[row] = _cut(self._noise(int(image), height, width), int(area[row]))
        return torch.from_numpy(maps).to(images.device)

    def _noise(self, image: int, height: int, width: int) -> NDArray[np.float64]:
        """White noise under a Gaussian that wraps around the borders, (H, W)."""
        sigma = self.size * min(height, width)
        down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
        response = np.exp(-2 * (np.pi * sigma) ** 2 * (down**2 + across**2))
        white = sampling.numpy_generator(self.seed, "blobs", image).standard_normal((height, width))
        return np.fft.irfft2(np.fft.rfft2(white) * response, s=(height, width))


def _cut(noise: NDArray[np.float64], area: int) -> NDArray[np.float64]:
    """The ranks of the noise, spread over [0.55, 1] for the `area` largest and over [0, 0.45] for the others."""
    rank = np.empty(noise.size)
    rank[np.argsort(-noise, axis=None, kind="stable")] = np.arange(noise.size)
    inside = 1 - 0.45 * rank / max(area, 1)
    outside = 0.45 * (noise.size - 1 - rank) / max(noise.size - area, 1)
    return np.where(rank < area, inside, outside).reshape(noise.shape)
