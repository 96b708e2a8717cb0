"""A cheap ensemble: a few steps up the margin, then towards the nearest classes, then long runs.

Most images that fall at all fall within eight steps up the margin; targeted runs of AutoAttack that break nothing are
what costs. So the budget follows the image. Classes come in the order in which a linear model would reach them from the
clean image; the less an image misses, beside what its margin has gained, the more of them and the longer runs it gets.
What it misses and gains is its own: no budget depends on the others of the batch. Ours; the runs are
APGD's (Croce & Hein, ICML 2020, arXiv:2003.01690), the order MALT's (Melamed et al., NeurIPS 2024, arXiv:2407.02240).
"""

from typing import Literal

from pydantic import Field
from torch import Tensor

from pixelprune.attacks.ascent import ascend, muster, muster_for
from pixelprune.attacks.balls import Ball
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import margin, margin_to
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.targets import Goal, likeliest, nearest
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws
from pixelprune.options import Options


class Fast(Options):
    name: Literal["fast"] = "fast"
    steps: int = Field(8, ge=1, description="Up the margin, for every image.")
    candidates: int = Field(6, ge=1, description="Likeliest wrong classes, which are put in order of their distance.")
    within: float = Field(
        1.5, ge=0, description="To the k-th class where at most this / k times what the margin has gained is missing."
    )
    targets: int = Field(3, ge=1, description="Classes, the nearest first.")
    target_steps: int = Field(8, ge=1, description="Towards each of them.")
    near: float = Field(0.15, ge=0, description="As `within`, for the long runs at the end.")
    near_targets: int = Field(4, ge=1, description="Classes of the long runs.")
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

        Passes of an image that stands: 2 + steps forward; candidates more where it is `within` reach, and at most
        targets (target_steps + 1) + near_targets (near_steps + 1); backward, one less in each run.
        """
        worst = Worst(model, images, labels, mask)
        clean = worst.margins.clone()

        def missing_at_most(times: float) -> Tensor:
            index = worst.standing
            return index[-worst.margins[index] <= times * (worst.margins - clean)[index]]

        def lead(first: int, within: float, targets: Tensor, steps: int) -> None:
            goals = [
                Goal(missing_at_most(within / (1 + rank)), target, draws.branch(first + rank))
                for rank, target in enumerate(targets.unbind(1))
            ]
            if any(len(goal.index) for goal in goals):
                party = muster_for(model, margin_to, goals, images, labels, mask)
                ascend(party, steps, ball=ball, worst=worst, estimator=estimator)

        if len(index := worst.standing):
            party = muster(model, margin, index, images, labels, mask, draws.branch(0))
            ascend(party, self.steps, ball=ball, worst=worst, estimator=estimator)
        index = missing_at_most(self.within)
        targets = likeliest(worst.logits, labels, self.candidates)
        if len(index):
            targets[index] = nearest(
                narrow(model, index), images[index], labels[index], targets[index],
                ball=ball, mask=mask[index], draws=draws.narrow(index), estimator=estimator,
            )  # fmt: skip
        lead(1, self.within, targets[:, : self.targets], self.target_steps)
        lead(1 + self.targets, self.near, targets[:, : self.near_targets], self.near_steps)
        return worst.points
