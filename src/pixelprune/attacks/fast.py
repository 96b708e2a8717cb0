"""A cheap ensemble: a few steps of APGD everywhere, then towards the likeliest classes, then where little is missing.

Most images that fall at all fall within ten steps; the targeted runs of AutoAttack that break nothing are what costs.
So the budget follows the margin: every survivor gets short runs at a few classes, and only those that came nearest to
falling get long ones. Ours; the parts are APGD's (Croce & Hein, ICML 2020, arXiv:2003.01690).
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pixelprune.attacks.ascent import ascend, muster
from pixelprune.attacks.balls import Ball
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import Loss, Towards, log_odds, margin_to
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.targets import likeliest
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws
from pixelprune.options import Options


class Fast(Options):
    name: Literal["fast"] = "fast"
    steps: int = Field(10, ge=1, description="Away from the right class, for every image.")
    targets: int = Field(4, ge=1, description="Classes that every survivor is led to.")
    target_steps: int = Field(10, ge=1, description="Towards each of them.")
    near: float = Field(0.25, ge=0, le=1, description="Share of the survivors, those nearest to falling, that go on.")
    near_targets: int = Field(3, ge=1, description="Classes that these are led to.")
    near_steps: int = Field(60, ge=1, description="Towards each of them.")

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

        Passes of an image that stands: 4 + steps + targets (target_steps + 1) forward, and of the share `near`,
        near_targets (near_steps + 1) more; backward, one less in each run.
        """
        worst = Worst(model, images, labels, mask)

        def run(number: int, index: Tensor, loss: Loss, steps: int) -> None:
            if len(index):
                party = muster(model, loss, index, images, labels, mask, draws.branch(number))
                ascend(party, steps, ball=ball, worst=worst, estimator=estimator)

        run(0, worst.standing, log_odds, self.steps)
        for number, target in enumerate(self._targets(model, worst, labels, self.targets), 1):
            run(number, worst.standing, Towards(margin_to, target), self.target_steps)
        nearest = self._nearest(worst)
        for number, target in enumerate(self._targets(model, worst, labels, self.near_targets), 1 + self.targets):
            index = worst.standing
            run(number, index[torch.isin(index, nearest)], Towards(margin_to, target), self.near_steps)
        return worst.points

    def _targets(self, model: Model, worst: Worst, labels: Tensor, count: int) -> tuple[Tensor, ...]:
        """The likeliest wrong classes at the worst points so far; of images that have fallen, at the clean ones."""
        index, logits = worst.standing, worst.logits.float().clone()
        if len(index):
            with torch.no_grad():
                logits[index] = narrow(model, index)(worst.points[index]).float()
        return likeliest(logits, labels, count).unbind(1)

    def _nearest(self, worst: Worst) -> Tensor:
        standing = worst.standing
        count = int(-(-len(standing) * self.near // 1))
        return standing[worst.margins[standing].argsort(descending=True, stable=True)[:count]]
