"""What every attack of the catalog looks like from outside; their docstrings refer to PGD's for the guarantees."""

from typing import Any, Protocol

from torch import Tensor

from pixelprune.attacks.balls import Ball
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.narrowing import Model
from pixelprune.draws import Draws


class Attack(Protocol):
    @property
    def name(self) -> str: ...

    def model_dump(self, *, mode: str) -> dict[str, Any]: ...

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
    ) -> Tensor: ...
