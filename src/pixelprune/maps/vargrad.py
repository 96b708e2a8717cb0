"""VarGrad: how much the gradient of the predicted class varies over noisy copies of the image.

    a(x) = sum over channels of (1/n) sum_j (g_j - mean g)^2,   g_j = d z_t / d x (x + xi_j),   xi_j ~ N(0, sigma^2)

with t, sigma and xi_j as in SmoothGrad-Squared, which is VarGrad plus the squared mean gradient.

Source: Adebayo et al., "Local Explanation Methods for Deep Neural Networks Lack Sensitivity to Parameter Values",
2018, arXiv:1810.03307; as a ranking of pixels in Hooker et al., NeurIPS 2019, arXiv:1806.10758.
Summed block by block: Chan, Golub, LeVeque, "Algorithms for Computing the Sample Variance", The American Statistician
37(3), 1983, equation 1.5. Where the gradient is constant the variance is 0 exactly, not a rounding error of squares.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from pixelprune.maps.many_gradients import Rows, blocks, gradients
from pixelprune.maps.map import Ids, MapOptions, Source, Weights, per_image_scale
from pixelprune.maps.noisy import copies


class VarGrad(MapOptions):
    name: Literal["vargrad"]
    reads: Weights
    samples: int = Field(25, ge=2, le=10_000, description="Noisy copies of an image.")
    noise: float = Field(0.15, ge=0, le=1, description="Standard deviation, as a share of the image's range.")
    seed: int = Field(0, ge=0, description="Draws the noise, with the image's id.")
    needs: ClassVar[Literal["nothing", "foreground", "model"]] = "model"
    behaviour: ClassVar[Literal["static", "dynamic"]] = "dynamic"

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """In [0, 1], relative to the largest of the image. The noise is a function of seed, image id and sample."""

        def moments(rows: Rows, numbers: range) -> Tensor:
            """Of one block: the mean gradient, the sum of squares around it, and how many they are; (n, 3, C, H, W)."""
            found = gradients(source, copies(rows, numbers, self.noise, self.seed), rows.classes)
            away = found - found[:, :1].detach()
            mean = away.mean(1, keepdim=True)
            squares = (away - mean).square().sum(1)
            return torch.stack([found[:, 0].detach() + mean[:, 0], squares, torch.full_like(squares, len(numbers))], 1)

        maps = [images.new_empty(0, *images.shape[2:])]
        for run in blocks(images, ids, source, self.samples, moments):
            mean, squares, count = next(run).unbind(1)
            for block in run:
                other, own, more = block.unbind(1)
                squares = squares + own + (other - mean).square() * count * more / (count + more)
                mean = mean + (other - mean) * more / (count + more)
                count = count + more
            maps.append(per_image_scale(squares.sum(1) / self.samples))
        return torch.cat(maps)
