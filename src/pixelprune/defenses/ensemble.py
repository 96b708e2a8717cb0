"""A deep ensemble: networks of the same training from other first weights, and the mean of their probabilities.

Source: Lakshminarayanan et al., "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles",
NeurIPS 2017, section 2.4, arXiv:1612.01474. It answers without chance, so it is attacked as it is.
"""

from math import log
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pixelprune.attacks.mean import Drawn
from pixelprune.attacks.narrowing import Model
from pixelprune.defenses.copies import copied, weights
from pixelprune.defenses.defense import DefenseOptions, Gradient, Lesson
from pixelprune.draws import Draws


class Ensemble(DefenseOptions):
    name: Literal["ensemble"]
    networks: int = Field(5, ge=2, description="How many, the one that is defended among them.")
    posterior: ClassVar[bool] = True

    def learn(self, network: nn.Module, lesson: Lesson) -> dict[str, Tensor]:
        """The weights of the other networks, with the number of each before their names."""
        learned: dict[str, Tensor] = {}
        for number in range(1, self.networks):
            lesson.tell(f"network {number + 1}/{self.networks}")
            learned |= {f"{number}.{name}": value for name, value in weights(lesson.again(number)).items()}
        return learned

    def around(self, network: nn.Module, learned: dict[str, Tensor], gradient: Gradient = "identity") -> Drawn:
        """The log of the mean probability."""
        members = self.members(network, learned)

        def drawn(images: Tensor, draws: Draws) -> Tensor:
            each = torch.stack([torch.log_softmax(member(images), 1) for member in members])
            return torch.logsumexp(each, 0) - log(len(members))

        return drawn

    def members(self, network: nn.Module, learned: dict[str, Tensor]) -> list[Model]:
        own = [
            {name.removeprefix(f"{number}."): value for name, value in learned.items() if name.startswith(f"{number}.")}
            for number in range(1, self.networks)
        ]
        return [network, *(copied(network, state) for state in own)]
