"""Random points of the ball, the worst of which counts: what an attacker without any knowledge of the model gets.

With `corners` the points are extreme ones, which hit harder: an iterative attack that misses what they find is broken
(Carlini et al., "On Evaluating Adversarial Robustness", arXiv:1902.06705, section 5: compare with random search).
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pixelprune.attacks.balls import Ball, inside
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws
from pixelprune.options import Options

AT_ONCE = 10
"""Draws in one pass: small batches cost more than their share. A fixed number, or results would depend on the batch."""


class Noise(Options):
    name: Literal["noise"] = "noise"
    draws: int = Field(10, ge=1, description="Random points of each image.")
    corners: bool = Field(False, description="Extreme points (sign vectors; the sphere) instead of uniform ones.")

    def __call__(
        self,
        model: Model,
        images: Tensor,
        labels: Tensor,
        *,
        ball: Ball,
        mask: Tensor,
        draws: Draws,
        estimator: Estimator = PLAIN,
    ) -> Tensor:
        """Adversarial images, float32 (N, C, H, W) in [0, 1]; shapes and guarantees as in PGD.

        Passes: 1 forward an image, and AT_ONCE for each group of draws that finds it standing; no gradient.
        """
        worst = Worst(model, images, labels, mask)
        random = ball.corner if self.corners else ball.sample
        for first in range(0, self.draws, AT_ONCE):
            index = worst.standing
            if len(index) == 0:
                break
            numbers = range(first, min(first + AT_ONCE, self.draws))
            deltas = [random(mask[index], images.shape[1], draws.branch(number).narrow(index)) for number in numbers]
            several = index.repeat(len(deltas))
            points = inside(images[several], torch.cat(deltas), ball)
            with torch.no_grad():
                found = margin(narrow(model, several)(points), labels[several])
            for part in torch.arange(len(several), device=index.device).split(len(index)):
                worst.see(index, points[part], found[part])
        return worst.points
