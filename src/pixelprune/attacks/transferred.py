"""Points made on another model, tried on this one. What falls to them alone hides its own gradients.

Source: Papernot et al., "Practical Black-Box Attacks against Machine Learning", ASIA CCS 2017, arXiv:1602.02697.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pixelprune.attacks.attack import Attack
from pixelprune.attacks.balls import Ball
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws


@dataclass(frozen=True)
class Transferred:
    """An attack that runs on `source` and is judged elsewhere. The saved state that it is part of names the source."""

    source: Model
    attack: Attack
    name: str = "transferred"
    unasked: bool = False
    """The model answers by chance: the points are returned whatever it says of them, since their judge draws anew."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        return {"name": self.name, "attack": self.attack.model_dump(mode=mode)}

    def narrow(self, index: Tensor) -> "Transferred":
        return replace(self, source=narrow(self.source, index))

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

        Passes: 2 forward an image, 1 for one that is wrong; none where the model is not asked. Those on the source are
        not counted.
        """
        if self.unasked:
            return self.attack(
                self.source, images, labels, ball=ball, mask=mask, draws=draws, estimator=estimator
            )  # fmt: skip
        worst = Worst(model, images, labels, mask)
        index = worst.standing
        if len(index):
            points = self.attack(
                narrow(self.source, index), images[index], labels[index],
                ball=ball, mask=mask[index], draws=draws.narrow(index), estimator=estimator,
            )  # fmt: skip
            with torch.no_grad():
                worst.see(index, points, margin(narrow(model, index)(points), labels[index]))
        return worst.points
