"""Plain PGD on a model that answers by chance: one fresh draw a step, many small steps, no stop at a lucky draw.

A single draw says little of where the mean errs, a thousand of them add up to its gradient: this is what most defenses
by chance fall to. What is found is judged by another model. Source: Gao et al., "On the Limitations of Stochastic
Pre-processing Defenses", NeurIPS 2022, section 4, arXiv:2206.09491.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pixelprune.attacks.balls import Ball, inside, usable
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import log_odds, margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws

LOOKS = 10
"""How often the judge is asked on the way."""


@dataclass(frozen=True)
class Patient:
    """For N images, narrowed as models are. judge: what is attacked, with draws of its own."""

    judge: Model
    steps: int = 1000
    relative_step: float = 0.02
    """Length of a step as a share of eps; longer where the steps are few, for they must cross the ball."""
    name: str = "patient"

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        return {"name": self.name, "steps": self.steps, "relative_step": self.relative_step}

    def narrow(self, index: Tensor) -> "Patient":
        return Patient(narrow(self.judge, index), self.steps, self.relative_step, self.name)

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
        """Adversarial images, float32 (N, C, H, W) in [0, 1]; shapes and guarantees as in PGD, margins the judge's.

        Passes: at most `steps` forward and backward an image. Those of the judge are not counted.
        """
        worst = Worst(self.judge, images, labels, mask)
        index = worst.standing
        length = ball.eps * max(self.relative_step, 2.5 / self.steps)
        points = inside(images[index], ball.sample(mask[index], images.shape[1], draws.narrow(index)), ball)
        for step in range(1, self.steps + 1):
            if len(index) == 0:
                break
            grad, _ = estimator.gradient(narrow(model, index), points, labels[index], log_odds, draws.narrow(index))
            moved = points + length * ball.steepest(usable(grad, points, mask[index]))
            points = inside(images[index], moved - images[index], ball)
            if step % max(self.steps // LOOKS, 1) == 0 or step == self.steps:
                with torch.no_grad():
                    seen = margin(narrow(self.judge, index)(points), labels[index])
                stands = worst.see(index, points, seen)
                index, points = index[stands], points[stands]
        return worst.points
