"""Auto-PGD towards one wrong class after the other, the likeliest first.

Source: Croce & Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
attacks", ICML 2020, arXiv:2003.01690: APGD-T is `targets: 9, loss: dlr`. A network of K classes has at
most K - 1 targets.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pixelprune.attacks.ascent import Party, ascend
from pixelprune.attacks.balls import Ball, inside
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import TARGETED, TargetedName, Towards
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.targets import likeliest
from pixelprune.attacks.worst import Worst
from pixelprune.options import Options


class APGDTargeted(Options):
    name: Literal["apgd_targeted"] = "apgd_targeted"
    steps: int = Field(100, ge=1, description="Gradient steps towards one class.")
    targets: int = Field(9, ge=1, description="Wrong classes to aim at, by their logit on the clean image.")
    loss: TargetedName = Field("dlr", description="What the steps climb.")

    def __call__(
        self,
        model: Model,
        images: Tensor,
        labels: Tensor,
        *,
        ball: Ball,
        mask: Tensor,
        generator: torch.Generator,
        estimator: Estimator = PLAIN,
    ) -> Tensor:
        """Adversarial images, float32 (N, C, H, W) in [0, 1]; shapes and guarantees as in PGD.

        Passes: 1 forward an image; for each target that finds it standing, at most steps + 1 forward, steps backward.
        """
        worst = Worst(model, images, labels, mask)
        targets = likeliest(worst.logits, labels, self.targets)
        for target in targets.unbind(1):
            start = ball.sample(mask, images.shape[1], generator)
            index = worst.standing
            if len(index) == 0:
                break
            loss = Towards(TARGETED[self.loss], target[index])
            party = Party(narrow(model, index), loss, index, images[index], labels[index], mask[index])
            begin = inside(images[index], start[index], ball)
            ascend(party, begin, self.steps, ball=ball, worst=worst, generator=generator, estimator=estimator)
        return worst.points
