"""A stochastic classifier on a deterministic extractor: a mean-field Gaussian over the weights of the last layer.

Sources: Blundell et al., "Weight Uncertainty in Neural Networks" (Bayes by Backprop), ICML 2015, arXiv:1505.05424; that
a network of this kind is enough: Pang et al., "Evaluating the Robustness of Bayesian Neural Networks Against Different
Types of Attacks", arXiv:2106.09223; that it is not: Feng et al., "Attacking Bayes", arXiv:2404.19640.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from pixelprune.attacks.mean import Drawn
from pixelprune.defenses.defense import DefenseOptions, Gradient, Lesson
from pixelprune.defenses.elbo import divergence, local, raw
from pixelprune.defenses.fitting import fit
from pixelprune.defenses.last_layer import LastLayer
from pixelprune.draws import Draws


class Head(DefenseOptions):
    name: Literal["head"]
    prior: float = Field(1.0, gt=0, description="Standard deviation of each weight before anything is learned.")
    start: float = Field(0.05, gt=0, description="Standard deviation of each weight where the learning starts.")
    tempering: float = Field(1.0, gt=0, le=1, description="Weight of the divergence from the prior; below 1: cold.")
    epochs: int = Field(4, ge=0, description="Passes over the training images.")
    batch: int = Field(128, ge=1, description="Images of one step.")
    learning_rate: float = Field(3e-3, gt=0, description="Of Adam.")
    randomised: ClassVar[bool] = True
    posterior: ClassVar[bool] = True

    def learn(self, network: nn.Module, lesson: Lesson) -> dict[str, Tensor]:
        """mean and deviation, (K, D), of the last layer's weights, the biases last."""
        last = LastLayer.of(network)
        mean = nn.Parameter(last.weight.clone())
        spread = nn.Parameter(raw(torch.full_like(mean, self.start)))

        def drawn(images: Tensor, draws: Draws) -> Tensor:
            noise = draws.normal(len(mean)).to(mean)
            return local(last.features(images), mean, functional.softplus(spread), noise)

        fit(
            drawn, [mean, spread], lesson, epochs=self.epochs, batch=self.batch, learning_rate=self.learning_rate,
            penalty=lambda: self.tempering * divergence(mean, functional.softplus(spread), self.prior),
        )  # fmt: skip
        return {"mean": mean.detach().clone(), "deviation": functional.softplus(spread).detach()}

    def around(self, network: nn.Module, learned: dict[str, Tensor], gradient: Gradient = "identity") -> Drawn:
        """A stream draws all weights, so it stands for one network, whatever image it is shown."""
        last = LastLayer.of(network)
        mean, deviation = (learned[name].to(last.weight) for name in ("mean", "deviation"))

        def drawn(images: Tensor, draws: Draws) -> Tensor:
            features = last.features(images)
            noise = draws.normal(*mean.shape).to(mean)
            return functional.linear(features, mean) + torch.einsum("nkd,nd->nk", deviation * noise, features)

        return drawn
