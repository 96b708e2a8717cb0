"""A stochastic extractor before a deterministic head: a mean-field Gaussian over the weights of all convolutions.

Sources: of the question which part must be stochastic, Pang et al., "Evaluating the Robustness of Bayesian Neural
Networks Against Different Types of Attacks", arXiv:2106.09223, and, against its answer, Feng et al., "Attacking Bayes",
arXiv:2404.19640; of the draws, Wen et al., "Flipout: Efficient Pseudo-Independent Weight Perturbations on
Mini-Batches", ICLR 2018, section 3, arXiv:1803.04386.

An image's draw of a layer's weights is mean + r s^T * base: a sign for each outgoing and each incoming channel is drawn
for the image, the base is one of a few draws of deviation * noise. While it learns each step has a base of its own, and
the draws are those of the Gaussian. When it answers the bases are always the same, so the posterior is a finite one:
all bases and all signs alike likely. Its mean is the Gaussian's; a weight's variance is the mean of its squares over
the bases, which is right on average over the weights, and comes near for each with many bases.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from pixelprune.attacks.mean import Drawn
from pixelprune.defenses.copies import copied
from pixelprune.defenses.defense import DefenseOptions, Gradient, Lesson
from pixelprune.defenses.elbo import divergence, raw
from pixelprune.defenses.fitting import fit
from pixelprune.draws import Draws

Hook = Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]
BASE = 2
"""A branch of the streams that neither of a step's draws takes."""


class Extractor(DefenseOptions):
    name: Literal["extractor"]
    bases: int = Field(
        8, ge=1, description="Draws of all weights, of which each answer uses one with signs of its own."
    )
    prior: float = Field(
        1.0, gt=0, description="Standard deviation of a weight before anything is learned, over its layer's weights'."
    )
    start: float = Field(0.1, gt=0, description="The same where the learning starts.")
    tempering: float = Field(1.0, gt=0, le=1, description="Weight of the divergence from the prior; below 1: cold.")
    epochs: int = Field(2, ge=0, description="Passes over the training images.")
    batch: int = Field(128, ge=1, description="Images of one step.")
    learning_rate: float = Field(3e-4, gt=0, description="Of Adam.")
    randomised: ClassVar[bool] = True
    posterior: ClassVar[bool] = True

    def learn(self, network: nn.Module, lesson: Lesson) -> dict[str, Tensor]:
        """mean.LAYER and deviation.LAYER of the weights of each convolution; seeds of the bases, int64 (bases,).

        Head and normalization stay as they are.
        """
        own = copied(network, network.state_dict())
        layers = convolutions(own)
        means = {name: layer.weight.requires_grad_() for name, layer in layers.items()}
        scales = {name: float(mean.detach().square().mean().sqrt()) for name, mean in means.items()}
        spreads = {
            name: nn.Parameter(raw(torch.full_like(mean, self.start * scales[name]))) for name, mean in means.items()
        }
        fit(
            lambda images, draws: flipped(own, perturbed(_deviations(spreads), draws.branch(BASE).seeds[:1]))(
                images, draws
            ),
            [*means.values(), *spreads.values()], lesson,
            epochs=self.epochs, batch=self.batch, learning_rate=self.learning_rate,
            penalty=lambda: self.tempering * sum(
                divergence(means[name], deviation, self.prior * scales[name])
                for name, deviation in _deviations(spreads).items()
            ),
        )  # fmt: skip
        seeds = Draws.seeded(self.bases, lesson.generator).seeds
        learned = {f"mean.{name}": mean.detach().clone() for name, mean in means.items()}
        learned |= {f"deviation.{name}": value.detach() for name, value in _deviations(spreads).items()}
        return {**learned, "seeds": seeds}

    def around(self, network: nn.Module, learned: dict[str, Tensor], gradient: Gradient = "identity") -> Drawn:
        """A stream chooses a base and the signs, so it stands for one network, whatever image it is shown."""
        names = list(convolutions(network))
        means = {f"{name}.weight": learned[f"mean.{name}"] for name in names}
        own = copied(network, network.state_dict() | means)
        deviations = {name: learned[f"deviation.{name}"].to(layer.weight) for name, layer in convolutions(own).items()}
        return flipped(own, perturbed(deviations, learned["seeds"]))


def convolutions(network: nn.Module) -> dict[str, nn.Conv2d]:
    """Raises ValueError where there are none."""
    found = {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
    if not found:
        raise ValueError("the network has no convolutions")
    return found


def perturbed(deviations: Mapping[str, Tensor], seeds: Tensor) -> dict[str, list[Tensor]]:
    """The bases of each layer: as many draws of N(0, deviation^2) as there are seeds, int64 (B,)."""
    streams = [Draws(seed[None]) for seed in seeds]  # one after the other: a layer's noise takes much memory on its way
    return {
        name: [deviation * stream.normal(*deviation.shape)[0].to(deviation) for stream in streams]
        for name, deviation in deviations.items()
    }


def flipped(network: nn.Module, bases: Mapping[str, list[Tensor]]) -> Drawn:
    """The network, to whose convolutions each image adds a base with signs of its own."""
    layers = convolutions(network)

    def drawn(images: Tensor, draws: Draws) -> Tensor:
        choice = (draws.uniform() * len(next(iter(bases.values())))).long()
        with ExitStack() as hooks:
            for name, layer in layers.items():
                hooks.enter_context(layer.register_forward_hook(_flip(layer, bases[name], choice, draws)))
            logits: Tensor = network(images)
        return logits

    return drawn


def _flip(layer: nn.Conv2d, bases: list[Tensor], choice: Tensor, draws: Draws) -> Hook:
    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        incoming, outgoing = (draws.signs(count, 1, 1).to(output) for count in (layer.in_channels, layer.out_channels))
        order = choice.argsort(stable=True)
        parts = (inputs[0] * incoming)[order].split(torch.bincount(choice, minlength=len(bases)).tolist())
        added = torch.cat([layer._conv_forward(part, base, None) for part, base in zip(parts, bases) if len(part)])
        return output + added[order.argsort()] * outgoing

    return add


def _deviations(spreads: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: functional.softplus(spread) for name, spread in spreads.items()}
