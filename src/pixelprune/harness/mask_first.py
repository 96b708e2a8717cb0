"""An attack on the mask, then on the class: half of the steps drop what the clean image keeps, half use what is left.

Source: Dombrowski et al., "Explanations can be manipulated and geometry is to blame", NeurIPS 2019,
arXiv:1906.07983: explanations of a network follow an attacker that descends along a smooth copy of them.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pixelprune.attacks.ascent import ascend, muster
from pixelprune.attacks.balls import Ball, inside, usable
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import log_odds, margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws
from pixelprune.harness.pipeline import Pipeline


@dataclass(frozen=True)
class MaskFirst:
    """For these N images, narrowed as models are. steps: of both halves together."""

    pipeline: Pipeline
    steps: int
    name: str = "mask_first"

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        return {"name": self.name, "steps": self.steps, "temperature": self.pipeline.temperature}

    def narrow(self, index: Tensor) -> "MaskFirst":
        return MaskFirst(self.pipeline.narrow(index), self.steps, self.name)

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

        Passes: 3 + steps / 2 forward an image, steps / 2 backward; and steps / 2 of the map, which are not counted.
        """
        worst = Worst(model, images, labels, mask)
        index = worst.standing
        if len(index) == 0:
            return worst.points
        moved = self._moved(index, images[index], mask[index], ball, draws.narrow(index))
        with torch.no_grad():
            worst.see(index, moved, margin(narrow(model, index)(moved), labels[index]))
        start = images.clone()
        start[index] = moved
        index = worst.standing
        if len(index):
            party = muster(model, log_odds, index, images, labels, mask, draws.branch(0))
            ascend(party, -(-self.steps // 2), ball=ball, worst=worst, estimator=estimator, start=start[index])
        return worst.points

    def _moved(self, index: Tensor, images: Tensor, mask: Tensor, ball: Ball, draws: Draws) -> Tensor:
        """Points of the ball at which the map ranks what it kept behind what it dropped, as far as it can."""
        pipeline = self.pipeline.narrow(index)
        assert pipeline.smooth is not None
        sign = 1 - 2 * pipeline.pruned.mask(images, pipeline.ids).float()[:, 0]
        steps = max(self.steps // 2, 1)
        points = inside(images, ball.sample(mask, images.shape[1], draws), ball)
        for _ in range(steps):
            points.requires_grad_()
            with torch.enable_grad():
                values = pipeline.smooth(points, pipeline.ids)
                # In standard deviations: a map that only grows or shrinks ranks as before.
                values = values / values.detach().std((1, 2), keepdim=True).clamp(min=1e-12)
                goal = (sign * values).sum() + 0 * points.sum()  # a map without a gradient is then one without a slope
                (grad,) = torch.autograd.grad(goal, points)
            points = points.detach()
            step = 2.5 / steps * ball.eps * ball.steepest(usable(grad.nan_to_num(), points, mask))
            points = inside(images, points + step - images, ball)
        return points
