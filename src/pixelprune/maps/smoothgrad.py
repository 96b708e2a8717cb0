"""SmoothGrad-Squared: the mean squared gradient of the predicted class over noisy copies of the image.

    a(x) = sum over channels of (1/n) sum_j g_j^2,   g_j = d z_t / d x (x + xi_j),   xi_j ~ N(0, sigma^2)

with t the class predicted on the clean image and sigma a share of the image's own range max x - min x.

Source: Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017, arXiv:1706.03825; squared as in its
reference code and as SG-SQ of Hooker et al., NeurIPS 2019, arXiv:1806.10758. The plain form here is (1/n) sum_j |g_j|.
As there, noisy copies are not clipped to [0, 1].
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from pixelprune.maps.many_gradients import Rows, blocks, gradients
from pixelprune.maps.map import Ids, MapOptions, Source, Weights, per_image_scale
from pixelprune.maps.noisy import copies


class SmoothGrad(MapOptions):
    name: Literal["smoothgrad"]
    reads: Weights
    samples: int = Field(25, ge=1, le=10_000, description="Noisy copies of an image.")
    noise: float = Field(0.15, ge=0, le=1, description="Standard deviation, as a share of the image's range.")
    squared: bool = Field(True, description="Mean of squares (SmoothGrad-Squared); else mean of absolute values.")
    seed: int = Field(0, ge=0, description="Draws the noise, with the image's id.")
    needs: ClassVar[Literal["nothing", "foreground", "model"]] = "model"
    behaviour: ClassVar[Literal["static", "dynamic"]] = "dynamic"

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """In [0, 1], relative to the largest of the image. The noise is a function of seed, image id and sample."""

        def magnitude(rows: Rows, numbers: range) -> Tensor:
            found = gradients(source, copies(rows, numbers, self.noise, self.seed), rows.classes)
            return (found.square() if self.squared else found.abs()).sum((1, 2))

        maps = [images.new_empty(0, *images.shape[2:])]
        for run in blocks(images, ids, source, self.samples, magnitude):
            maps.append(per_image_scale(sum(run, torch.zeros(())) / self.samples))
        return torch.cat(maps)
