"""An attack that is sent on until a model errs more than by a little: clearly, or surely of one wrong class."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pixelprune.attacks.attack import Attack
from pixelprune.attacks.narrowing import Model, narrow


@dataclass(frozen=True)
class Demanding:
    """demand: Firm or Confident, a model that counts as fooled only then; by: what it asks for."""

    attack: Attack
    demand: Callable[[Model, Tensor, float], Model]
    by: float

    @property
    def name(self) -> str:
        return self.attack.name

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        demand = getattr(self.demand, "__name__", "").lower()
        return {"name": "demanding", "demand": demand, "by": self.by, "attack": self.attack.model_dump(mode=mode)}

    def narrow(self, index: Tensor) -> "Demanding":
        return Demanding(narrow(self.attack, index), self.demand, self.by)

    def __call__(self, model: Model, images: Tensor, labels: Tensor, **options: Any) -> Tensor:
        """As the attack itself."""
        return self.attack(self.demand(model, labels, self.by), images, labels, **options)
