"""The pixels that vary most over the training images: one map for all images, and the control of `pca`."""

from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelprune.maps.map import Ids, MapOptions, Source


class Variance(MapOptions):
    name: Literal["variance"]
    behaviour: ClassVar[Literal["static", "dynamic"]] = "static"

    def fit(self, images: NDArray[np.uint8]) -> dict[str, Tensor]:
        """score: float32 (H, W), variance over images (divided by N) summed over channels."""
        total = np.zeros(images.shape[1:], np.int64)
        squares = np.zeros(images.shape[1:], np.int64)
        for start in range(0, len(images), 512):
            block = images[start : start + 512].astype(np.int64)
            total += block.sum(0)
            squares += (block**2).sum(0)
        # Whole numbers until the last step: no cancellation.
        score = (squares * len(images) - total**2) / (len(images) * 255.0) ** 2
        return {"score": torch.from_numpy(score.sum(2)).float()}

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """Variance in units of the pixel range squared, the same for every image."""
        score = source.learned("score", tuple(images.shape[2:]))
        return score.to(images.device).repeat(len(images), 1, 1)
