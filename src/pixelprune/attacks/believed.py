"""An attack on a model that answers by chance: believed only on draws that it has not seen, and sent again if not.

A search that keeps the worst of many noisy answers keeps the luckiest too. What it returns is judged by another model,
with draws of its own; images that stand there are attacked again, with other draws.
"""

from dataclasses import dataclass
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
class Believed:
    """For N images, narrowed as models are. judge: what is attacked, with draws of its own."""

    attack: Attack
    judge: Model
    times: int = 3

    @property
    def name(self) -> str:
        return self.attack.name

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        return {"name": "believed", "attack": self.attack.model_dump(mode=mode), "times": self.times}

    def narrow(self, index: Tensor) -> "Believed":
        return Believed(narrow(self.attack, index), narrow(self.judge, index), self.times)

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

        Passes: those of the attack, at most `times` over. Those of the judge are not counted.
        """
        worst = Worst(self.judge, images, labels, mask)
        # What the judge says of clean images is of other draws: a lucky one is no reason to return them.
        worst.margins[worst.standing] = -torch.inf
        for number in range(self.times):
            index = worst.standing
            if len(index) == 0:
                break
            points = narrow(self.attack, index)(
                narrow(model, index), images[index], labels[index],
                ball=ball, mask=mask[index], draws=draws.branch(number).narrow(index), estimator=estimator,
            )  # fmt: skip
            with torch.no_grad():
                worst.see(index, points, margin(narrow(self.judge, index)(points), labels[index]))
        return worst.points
