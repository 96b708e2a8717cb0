"""Projected gradient descent on the pixels that a mask leaves to the attacker.

Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018,
section 2.1, arXiv:1706.06083. Ours adds the mask, keeps the worst iterate of every path and restart, lets an image
leave once it is fooled, and climbs cross-entropy in a form that does not saturate (losses.log_odds).
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pixelprune.attacks.balls import Ball, inside, usable
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import LOSSES, LossName, margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws
from pixelprune.options import Options


class PGD(Options):
    name: Literal["pgd"] = "pgd"
    steps: int = Field(50, ge=1, description="Gradient steps of one restart.")
    restarts: int = Field(1, ge=1, description="Random starts; the worst point of all of them counts.")
    relative_step: float | None = Field(None, gt=0, description="Length of a step as a share of eps; 2.5 / steps.")
    loss: LossName = Field(
        "log_odds", description="What the steps climb; log_odds is cross-entropy that cannot saturate."
    )

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
        """Adversarial images, float32 (N, C, H, W) in [0, 1].

        model: images -> logits (N, K), its normalization inside; the caller has set eval or train mode.
        images: float32 (N, C, H, W) in [0, 1]. labels: int64 (N,).
        mask: bool (N, 1, H, W), true where the attacker may write.
        The result differs from `images` only under the mask and by at most `ball.eps` (+1e-6, float32 rounding).
        An image is never returned with a smaller margin than it came with; one that is wrong already is returned
        as it is. draws: a stream for each image, so that no result depends on the batch.
        Passes: 1 forward an image; for each restart that finds it standing, at most steps + 1 forward, steps backward.
        """
        worst = Worst(model, images, labels, mask)
        for restart in range(self.restarts):
            index = worst.standing
            if len(index) == 0:
                break
            own = draws.branch(restart).narrow(index)
            start = ball.sample(mask[index], images.shape[1], own)
            self._climb(
                narrow(model, index), worst, index, images[index], labels[index], mask[index], start,
                ball, own, estimator,
            )  # fmt: skip
        return worst.points

    def _climb(
        self, model: Model, worst: Worst, index: Tensor, images: Tensor, labels: Tensor, mask: Tensor, start: Tensor,
        ball: Ball, draws: Draws, estimator: Estimator,
    ) -> None:  # fmt: skip
        length = ball.eps * (self.relative_step or 2.5 / self.steps)
        points = inside(images, start, ball)
        for _ in range(self.steps):
            grad, logits = estimator.gradient(model, points, labels, LOSSES[self.loss], draws)
            stands = worst.see(index, points, margin(logits, labels))
            if not stands.all():
                model, draws, index, images, labels, mask, points, grad = (
                    narrow(model, stands), draws.narrow(stands), index[stands], images[stands], labels[stands],
                    mask[stands], points[stands], grad[stands],
                )  # fmt: skip
            if len(index) == 0:
                return
            step = length * ball.steepest(usable(grad, points, mask))
            points = inside(images, points + step - images, ball)
        with torch.no_grad():
            worst.see(index, points, margin(model(points), labels))
