"""Auto-PGD towards one wrong class after the other, the likeliest first.

Source: Croce & Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
attacks", ICML 2020, arXiv:2003.01690: APGD-T is `targets: 9, loss: dlr`. A network of K classes has at
most K - 1 targets.
"""

from typing import Literal

from pydantic import Field
from torch import Tensor

from pixelprune.attacks.ascent import ascend, muster
from pixelprune.attacks.balls import Ball
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import TARGETED, TargetedName, Towards
from pixelprune.attacks.narrowing import Model
from pixelprune.attacks.targets import likeliest
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws
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
        draws: Draws,
        estimator: Estimator = PLAIN,
    ) -> Tensor:
        """Adversarial images, float32 (N, C, H, W) in [0, 1]; shapes and guarantees as in PGD.

        Passes: 1 forward an image; for each target that finds it standing, at most steps + 1 forward, steps backward.
        """
        worst = Worst(model, images, labels, mask)
        targets, loss = likeliest(worst.logits, labels, self.targets), TARGETED[self.loss]
        for number, target in enumerate(targets.unbind(1)):
            index = worst.standing
            if len(index) == 0:
                break
            party = muster(model, Towards(loss, target), index, images, labels, mask, draws.branch(number))
            ascend(party, self.steps, ball=ball, worst=worst, estimator=estimator)
        return worst.points
