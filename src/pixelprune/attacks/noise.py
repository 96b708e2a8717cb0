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

        Passes: 1 forward an image, and 1 for each draw that finds it standing; no gradient.
        """
        worst = Worst(model, images, labels, mask)
        for number in range(self.draws):
            index = worst.standing
            if len(index) == 0:
                break
            own = draws.branch(number).narrow(index)
            delta = (ball.corner if self.corners else ball.sample)(mask[index], images.shape[1], own)
            points = inside(images[index], delta, ball)
            with torch.no_grad():
                worst.see(index, points, margin(narrow(model, index)(points), labels[index]))
        return worst.points
