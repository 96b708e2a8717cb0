"""AutoAttack: four attacks that fail in different ways, in the published composition, on the pixels of the mask.

Source: Croce & Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
attacks", ICML 2020, section 6, arXiv:2003.01690. `standard`: APGD-CE, APGD-T, FAB-T, Square; `rand`, for randomized
networks: APGD-CE and APGD-DLR along the mean gradient of 20 draws.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

from pydantic import Field
from torch import Tensor

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.apgd_targeted import APGDTargeted
from pixelprune.attacks.attack import Attack
from pixelprune.attacks.balls import Ball
from pixelprune.attacks.diary import NO_DIARY, Diary
from pixelprune.attacks.estimators import PLAIN, Estimator, MeanOfDraws
from pixelprune.attacks.fab import FAB
from pixelprune.attacks.in_turn import in_turn
from pixelprune.attacks.narrowing import Model
from pixelprune.attacks.square import Square
from pixelprune.draws import Draws
from pixelprune.options import Options

DRAWS = 20


class AutoAttack(Options):
    name: Literal["autoattack"] = "autoattack"
    version: Literal["standard", "rand"] = Field("standard", description="rand is for networks that draw at random.")
    steps: int = Field(100, ge=1, description="Of each gradient attack and of FAB.")
    queries: int = Field(5000, ge=1, description="Of the square attack.")

    @property
    def parts(self) -> tuple[Attack, ...]:
        first = APGD(steps=self.steps)
        if self.version == "rand":
            return first, APGD(steps=self.steps, loss="dlr")
        return first, APGDTargeted(steps=self.steps), FAB(steps=self.steps), Square(queries=self.queries)

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
        """Adversarial images, float32 (N, C, H, W) in [0, 1]; shapes and guarantees as in PGD, passes as in in_turn."""
        if self.version == "rand":
            estimator = MeanOfDraws(estimator, DRAWS)
        attacks = [(part, draws.branch(number)) for number, part in enumerate(self.parts)]
        return in_turn(attacks, model, images, labels, ball=ball, mask=mask, estimator=estimator, diary=diary)

    def keeping(self, diary: Diary) -> Callable[..., Tensor]:
        """This attack with a diary, which lets it go on behind the last part that ended."""
        return partial(self, diary=diary)
