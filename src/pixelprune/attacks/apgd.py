"""Auto-PGD: projected gradient ascent that finds its own step length.

Source: Croce & Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
attacks", ICML 2020, arXiv:2003.01690: APGD-CE is `loss: log_odds` (the direction and order of
cross-entropy, without its saturation), APGD-DLR `loss: dlr`.
"""

from typing import Literal

from pydantic import Field
from torch import Tensor

from pixelprune.attacks.ascent import ascend, muster
from pixelprune.attacks.balls import Ball
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import LOSSES, LossName
from pixelprune.attacks.narrowing import Model
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws
from pixelprune.options import Options


class APGD(Options):
    name: Literal["apgd"] = "apgd"
    steps: int = Field(100, ge=1, description="Gradient steps of one restart.")
    restarts: int = Field(1, ge=1, description="Random starts; the worst point of all of them counts.")
    loss: LossName = Field("log_odds", description="What the steps climb.")

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
        """Adversarial images, float32 (N, C, H, W) in [0, 1]; shapes, guarantees and passes as in PGD."""
        worst = Worst(model, images, labels, mask)
        for restart in range(self.restarts):
            index = worst.standing
            if len(index) == 0:
                break
            party = muster(model, LOSSES[self.loss], index, images, labels, mask, draws.branch(restart))
            ascend(party, self.steps, ball=ball, worst=worst, estimator=estimator)
        return worst.points
