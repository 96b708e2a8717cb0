"""Several attacks one after the other, each on the images that the ones before it left standing."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pixelprune.attacks.attack import Attack
from pixelprune.attacks.balls import Ball
from pixelprune.attacks.diary import NO_DIARY, Diary, remembered
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.twin import exactly
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws


def in_turn(
    attacks: Iterable[tuple[Attack, Draws]], model: Model, images: Tensor, labels: Tensor, *,
    ball: Ball, mask: Tensor, estimator: Estimator = PLAIN, diary: Diary = NO_DIARY,
) -> Tensor:  # fmt: skip
    """The worst point of all attacks for each image; shapes and guarantees as in PGD.

    attacks: each with its streams, one an image of the whole batch.
    Passes: 1 forward an image, those of the attacks, and 1 forward more for each attack that finds it standing.
    """
    worst = Worst(model, images, labels, mask)
    for number, (attack, draws) in enumerate(attacks):
        index = worst.standing
        if len(index) == 0:
            break
        part, own = narrow(model, index), images[index]
        points = remembered(diary, number, own, partial(
            narrow(attack, index), part, own, labels[index],
            ball=ball, mask=mask[index], draws=draws.narrow(index), estimator=estimator,
        ))  # fmt: skip
        with torch.no_grad():
            worst.see(index, points, margin(exactly(part)(points), labels[index]))  # what one proved on the model stays
        diary.ended(number, len(worst.standing))
    return worst.points


@dataclass(frozen=True)
class InTurn:
    """Several attacks as one."""

    attacks: tuple[Attack, ...]
    name: str = "in_turn"

    def __call__(self, model: Model, images: Tensor, labels: Tensor, *, draws: Draws, **options: Any) -> Tensor:
        """As `in_turn`, each attack with streams of its own."""
        attacks = [(attack, draws.branch(number)) for number, attack in enumerate(self.attacks)]
        return in_turn(attacks, model, images, labels, **options)

    def narrow(self, index: Tensor) -> "InTurn":
        """Of those images; int64 (M,), or bool (N,)."""
        return InTurn(tuple(narrow(attack, index) for attack in self.attacks), self.name)

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        return {"name": self.name, "attacks": [attack.model_dump(mode=mode) for attack in self.attacks]}
