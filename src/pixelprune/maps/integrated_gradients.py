"""Integrated gradients: what each pixel adds to the logit of the predicted class on the way from a flat image.

    IG_i = (x - x0)_i * integral over u in [0, 1] of d z_t / d x_i (x0 + u (x - x0));   a(x) = sum over channels of |IG|

with t the class predicted on the image. Over all pixels IG sums to z_t(x) - z_t(x0) (completeness).

Source: Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks", ICML 2017, section 3, arXiv:1703.01365.
Ours takes the middle of each of n equal steps, whose error falls with n^2; there the sum takes their right ends.
Pixels that equal the baseline get 0, whatever the network makes of them: black ones, with the default.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from pixelprune.maps.many_gradients import Rows, blocks, gradients
from pixelprune.maps.map import Ids, MapOptions, Source, Weights, per_image_scale


class IntegratedGradients(MapOptions):
    name: Literal["integrated_gradients"]
    reads: Weights
    steps: int = Field(32, ge=1, le=10_000, description="Points on the way.")
    baseline: float = Field(0.0, ge=0, le=1, description="Gray level of the flat image x0 where the way begins.")
    needs: ClassVar[Literal["nothing", "foreground", "model"]] = "model"
    behaviour: ClassVar[Literal["static", "dynamic"]] = "dynamic"

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """In [0, 1], relative to the largest of the image."""
        return per_image_scale(self.attributions(images, ids, source).abs().sum(1))

    def attributions(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """IG with its sign, float32 (N, C, H, W)."""

        def along(rows: Rows, numbers: range) -> Tensor:
            share = (torch.tensor(numbers, device=images.device, dtype=images.dtype) + 0.5) / self.steps
            points = self.baseline + share.view(-1, 1, 1, 1) * (rows.images[:, None] - self.baseline)
            return gradients(source, points, rows.classes).sum(1)

        runs = blocks(images, ids, source, self.steps, along)
        mean = torch.cat([images[:0], *(sum(run, torch.zeros(())) / self.steps for run in runs)])
        return (images - self.baseline) * mean
