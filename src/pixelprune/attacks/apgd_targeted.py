"""Auto-PGD towards one wrong class after the other, the likeliest first.

Source: Croce & Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
attacks", ICML 2020, arXiv:2003.01690: APGD-T is `targets: 9, loss: dlr`. A network of K classes has at
most K - 1 targets.
"""

from typing import Literal

from pydantic import Field
from torch import Tensor

from pixelprune.attacks.ascent import ascend, muster_for
from pixelprune.attacks.balls import Ball
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import TARGETED, TargetedName
from pixelprune.attacks.narrowing import Model
from pixelprune.attacks.targets import goals_of
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

        Passes: 1 forward an image; for each target at most steps + 1 forward, steps backward. Targets are tried
        TOGETHER, and an image that falls leaves all of them.
        """
        worst = Worst(model, images, labels, mask)
        for goals in goals_of(worst, labels, self.targets, draws):
            party = muster_for(model, TARGETED[self.loss], goals, images, labels, mask)
            ascend(party, self.steps, ball=ball, worst=worst, estimator=estimator)
        return worst.points
