"""Points that were found elsewhere, tried again: on another model, in another access, in a smaller ball."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pixelprune.attacks.balls import Ball, inside
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws


@dataclass(frozen=True)
class Replayed:
    """An attack for these N images, narrowed as models are. points: float32 (N, C, H, W) in [0, 1]."""

    points: Tensor
    name: str = "replayed"
    unasked: bool = False
    """The model answers by chance: the points are returned whatever it says of them, since their judge draws anew."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """What a saved result depends on: the points themselves."""
        return {"name": self.name, "points": hashlib.sha256(self.points.cpu().numpy().tobytes()).hexdigest()}

    def narrow(self, index: Tensor) -> "Replayed":
        return replace(self, points=self.points[index])

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

        A point outside the ball or the mask is drawn into it. Passes: 2 forward an image, 1 for one that is wrong; none
        where the model is not asked.
        """
        if self.unasked:
            return inside(images, (self.points - images) * mask, ball)
        worst = Worst(model, images, labels, mask)
        index = worst.standing
        if len(index):
            points = inside(images[index], (self.points[index] - images[index]) * mask[index], ball)
            with torch.no_grad():
                worst.see(index, points, margin(narrow(model, index)(points), labels[index]))
        return worst.points
