"""Blurred random pixels: noise of each image id under a Gaussian. A control for maps that are smooth.

Smooth masks keep whole patches, which is of use to a network by itself: a map has to beat this one, not white noise.
"""

from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pixelprune import sampling
from pixelprune.maps.map import Ids, MapOptions, Source


class BlurredRandom(MapOptions):
    name: Literal["blurred_random"]
    sigma: float = Field(2.0, ge=0, le=100, description="Standard deviation of the Gaussian, in pixels; 0: no blur.")
    seed: int = Field(0, ge=0, description="Draws the noise, with the image's id.")
    behaviour: ClassVar[Literal["static", "dynamic"]] = "static"

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """Of mean 0 and variance 1. The noise wraps around the borders, so that no place is favoured."""
        from scipy.ndimage import gaussian_filter  # half a second of every stage that reads options of maps

        maps = np.empty((len(ids), *images.shape[2:]), np.float32)
        for row, image in enumerate(ids):
            white = sampling.numpy_generator(self.seed, "blurred random map", int(image)).standard_normal(maps[0].shape)
            smooth = gaussian_filter(white, self.sigma, mode="wrap")
            maps[row] = (smooth - smooth.mean()) / max(smooth.std(), 1e-30)
        return torch.from_numpy(maps).to(images.device)
