"""The final word: AutoAttack, the fast ensemble, then more starts, other losses and other squares.

AutoAttack and the fast ensemble each get the batch and the streams that they would get alone, so an image that one of
them breaks is broken here, bit for bit; what follows goes to the images that both left standing. Ours; the parts are
those of Croce & Hein, ICML 2020, arXiv:2003.01690, and Andriushchenko et al., ECCV 2020, arXiv:1912.00049.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.apgd_targeted import APGDTargeted
from pixelprune.attacks.attack import Attack
from pixelprune.attacks.autoattack import AutoAttack
from pixelprune.attacks.balls import Ball
from pixelprune.attacks.diary import NO_DIARY, Diary, Later, remembered
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.fast import Fast
from pixelprune.attacks.in_turn import in_turn
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.square import Square
from pixelprune.attacks.twin import exactly
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws
from pixelprune.options import Options

OTHER_SHARE = 0.3
"""Of the open pixels, how many the first of the other squares change; AutoAttack's change 0.8."""
BEYOND = 100
"""A branch of the streams that neither AutoAttack nor the fast ensemble takes."""


class Max(Options):
    name: Literal["max"] = "max"
    steps: int = Field(100, ge=1, description="Of each gradient attack but the fast ensemble.")
    queries: int = Field(5000, ge=1, description="Of each of the two square attacks.")
    restarts: int = Field(5, ge=1, description="Random starts of cross-entropy and of the margin, beyond AutoAttack.")

    @property
    def autoattack(self) -> AutoAttack:
        return AutoAttack(steps=self.steps, queries=self.queries)

    @property
    def beyond(self) -> tuple[Attack, ...]:
        return (
            APGD(steps=self.steps, restarts=self.restarts, loss="margin"),
            APGD(steps=self.steps, restarts=self.restarts),
            APGDTargeted(steps=self.steps, loss="margin"),
            Square(queries=self.queries, share=OTHER_SHARE),
        )

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
        diary: Diary = NO_DIARY,
    ) -> Tensor:
        """Adversarial images, float32 (N, C, H, W) in [0, 1]; shapes and guarantees as in PGD.

        No margin is smaller than what AutoAttack or Fast reach when they are called alone with these arguments.
        Passes: 3 forward an image and those of the first two; 1 forward and those of in_turn where it still stands.
        """
        worst, everyone = Worst(model, images, labels, mask), torch.arange(len(images), device=images.device)
        parts = len(self.autoattack.parts)
        options: dict[str, Any] = {"ball": ball, "mask": mask, "draws": draws, "estimator": estimator}
        for points in (
            self.autoattack(model, images, labels, **options, diary=diary),
            remembered(diary, parts, images, partial(Fast(), model, images, labels, **options)),
        ):
            with torch.no_grad():
                worst.see(everyone, points, margin(exactly(model)(points), labels))
        diary.ended(parts, len(worst.standing))
        index = worst.standing
        if len(index):
            part, streams = narrow(model, index), draws.branch(BEYOND).narrow(index)
            attacks = [(attack, streams.branch(number)) for number, attack in enumerate(self.beyond)]
            points = in_turn(
                attacks, part, images[index], labels[index],
                ball=ball, mask=mask[index], estimator=estimator, diary=Later(diary, parts + 1),
            )  # fmt: skip
            with torch.no_grad():
                worst.see(index, points, margin(exactly(part)(points), labels[index]))
        return worst.points

    def keeping(self, diary: Diary) -> Callable[..., Tensor]:
        """This attack with a diary: AutoAttack's parts, the fast ensemble, then each of those beyond."""
        return partial(self, diary=diary)
