"""SmoothGrad-Squared: the mean squared gradient of the predicted class over noisy copies of the image.

    a(x) = sum over channels of (1/n) sum_j g_j^2,   g_j = d z_t / d x (x + xi_j),   xi_j ~ N(0, sigma^2)

with t the class predicted on the clean image and sigma a share of the image's own range max x - min x.

Source: Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017, arXiv:1706.03825; squared as in its
reference code and as SG-SQ of Hooker et al., NeurIPS 2019, arXiv:1806.10758. The plain form here is (1/n) sum_j |g_j|.
As there, noisy copies are not clipped to [0, 1].
"""

from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pixelprune import sampling
from pixelprune.maps.class_gradient import chunks, class_gradient, predicted
from pixelprune.maps.map import Ids, MapOptions, Source, Weights, per_image_scale


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
        maps = [images.new_empty(0, *images.shape[2:])]
        for part in chunks(images):
            maps.append(self._chunk(images[part], ids[part], source))
        return torch.cat(maps)

    def _chunk(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        model = source.classifier()
        classes = predicted(model, images)
        spread = self.noise * (images.amax((1, 2, 3), keepdim=True) - images.amin((1, 2, 3), keepdim=True))
        # One generator an image, drawn from sample by sample: memory does not grow with the samples.
        generators = [sampling.numpy_generator(self.seed, "smoothgrad", int(image)) for image in ids]
        total = images.new_zeros(len(images), *images.shape[2:])
        for _ in range(self.samples):
            draws = np.stack([each.standard_normal(images.shape[1:], dtype=np.float32) for each in generators])
            noisy = images + spread * torch.from_numpy(draws).to(images.device)
            gradient = class_gradient(model, noisy, classes)
            total = total + (gradient.square() if self.squared else gradient.abs()).sum(1)
        return per_image_scale(total / self.samples)
