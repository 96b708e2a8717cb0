"""A cheap ensemble: a few steps up the margin, then towards the nearest classes, then long runs.

Most images that fall at all fall within ten steps up the margin; the targeted runs of AutoAttack that break nothing are
what costs. So the budget follows the image. One that misses much more than its margin has gained is left alone, one
that misses little gets long runs, and classes come in the order in which a linear model would reach them from the clean
image. What an image misses and gains is its own: no budget depends on the others of the batch. Ours; the runs are
APGD's (Croce & Hein, ICML 2020, arXiv:2003.01690), the order MALT's (Melamed et al., NeurIPS 2024, arXiv:2407.02240).
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pixelprune.attacks.ascent import ascend, muster
from pixelprune.attacks.balls import Ball
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import Loss, Towards, margin, margin_to
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.targets import likeliest, nearest
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws
from pixelprune.options import Options


class Fast(Options):
    name: Literal["fast"] = "fast"
    steps: int = Field(10, ge=1, description="Up the margin, for every image.")
    candidates: int = Field(9, ge=1, description="Likeliest wrong classes, which are put in order of their distance.")
    within: float = Field(
        1.5, ge=0, description="An image goes on where it misses at most this times what its margin has gained."
    )
    targets: int = Field(2, ge=1, description="Classes that it is then led to, the nearest first.")
    target_steps: int = Field(10, ge=1, description="Towards each of them.")
    near: float = Field(0.15, ge=0, description="As `within`, for the long runs at the end.")
    near_targets: int = Field(3, ge=1, description="Classes of the long runs.")
    near_steps: int = Field(40, ge=1, description="Towards each of them.")

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

        Passes of an image that stands: 2 + steps forward; candidates + targets (target_steps + 1) more where it is
        `within` reach, and near_targets (near_steps + 1) more where it is `near`; backward, one less in each run.
        """
        worst = Worst(model, images, labels, mask)
        clean = worst.margins.clone()

        def run(number: int, index: Tensor, loss: Loss, steps: int) -> None:
            if len(index):
                party = muster(model, loss, index, images, labels, mask, draws.branch(number))
                ascend(party, steps, ball=ball, worst=worst, estimator=estimator)

        def lead(first: int, index: Tensor, targets: Tensor, steps: int) -> None:
            for number, target in enumerate(targets.unbind(1), first):
                run(number, index[torch.isin(index, worst.standing)], Towards(margin_to, target), steps)

        def missing_at_most(times: float) -> Tensor:
            index = worst.standing
            return index[-worst.margins[index] <= times * (worst.margins - clean)[index]]

        run(0, worst.standing, margin, self.steps)
        index = missing_at_most(self.within)
        targets = likeliest(worst.logits, labels, self.candidates)
        if len(index):
            targets[index] = nearest(
                narrow(model, index), images[index], labels[index], targets[index],
                ball=ball, mask=mask[index], draws=draws.narrow(index), estimator=estimator,
            )  # fmt: skip
        lead(1, index, targets[:, : self.targets], self.target_steps)
        lead(1 + self.targets, missing_at_most(self.near), targets[:, : self.near_targets], self.near_steps)
        return worst.points
