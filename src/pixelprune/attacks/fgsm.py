"""The fast gradient sign method: one step of the full length from the clean image.

Source: Goodfellow et al., "Explaining and Harnessing Adversarial Examples", ICLR 2015, section 4, arXiv:1412.6572.
Ours adds the mask, climbs cross-entropy in a form that does not saturate (losses.log_odds), and takes the steepest
direction of whatever ball it is given (the sign for linf).
"""

from typing import Literal

import torch
from torch import Tensor

from pixelprune.attacks.balls import Ball, inside, usable
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import log_odds, margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws
from pixelprune.options import Options


class FGSM(Options):
    name: Literal["fgsm"] = "fgsm"

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

        The step may overshoot: an image that it would make easier is returned as it came.
        Passes: 1 forward an image; for each that is right, 2 forward and 1 backward more.
        """
        worst = Worst(model, images, labels, mask)
        index = worst.standing
        if len(index) == 0:
            return worst.points
        model, images, labels, mask = narrow(model, index), images[index], labels[index], mask[index]
        grad, _ = estimator.gradient(model, images, labels, log_odds, draws.narrow(index))
        points = inside(images, ball.eps * ball.steepest(usable(grad, images, mask)), ball)
        with torch.no_grad():
            worst.see(index, points, margin(model(points), labels))
        return worst.points
