"""Monte Carlo dropout: what dropout switches off while a network learns, it switches off when it answers too.

Source: Gal & Ghahramani, "Dropout as a Bayesian Approximation: Representing Model Uncertainty in Deep Learning", ICML
2016, section 3, arXiv:1506.02142. Ours puts dropout into a trained network and goes on training it for a little. Of a
convolution whole channels are switched off (Tompson et al., "Efficient Object Localization Using Convolutional
Networks", CVPR 2015, section 3.2, arXiv:1411.4280), so that every draw is one of weights, the same at every place.
"""

from contextlib import ExitStack
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from pixelprune.attacks.mean import Drawn
from pixelprune.defenses.copies import copied, weights
from pixelprune.defenses.defense import DefenseOptions, Gradient, Lesson
from pixelprune.defenses.fitting import fit
from pixelprune.draws import Draws
from pixelprune.models.penultimate import last_linear


class Dropout(DefenseOptions):
    name: Literal["dropout"]
    rate: float = Field(0.2, gt=0, lt=1, description="Share of the features, or channels, that is switched off.")
    where: Literal["last", "blocks"] = Field(
        "last", description="Before the last linear layer, or before each residual block too."
    )
    epochs: int = Field(2, ge=0, description="Passes over the training images, with dropout.")
    batch: int = Field(128, ge=1, description="Images of one step.")
    learning_rate: float = Field(3e-4, gt=0, description="Of Adam.")
    randomised: ClassVar[bool] = True
    posterior: ClassVar[bool] = True

    def learn(self, network: nn.Module, lesson: Lesson) -> dict[str, Tensor]:
        """The weights that got used to dropout; normalization keeps its statistics."""
        own = copied(network, network.state_dict()).requires_grad_()
        fit(
            self.dropping(own), own.parameters(), lesson,
            epochs=self.epochs, batch=self.batch, learning_rate=self.learning_rate,
        )  # fmt: skip
        return weights(own)

    def around(self, network: nn.Module, learned: dict[str, Tensor], gradient: Gradient = "identity") -> Drawn:
        return self.dropping(copied(network, learned))

    def dropping(self, network: nn.Module) -> Drawn:
        """The network itself with dropout. Raises ValueError where it has no such layers."""
        places: list[nn.Module] = [*(blocks(network) if self.where == "blocks" else []), last_linear(network)]

        def drawn(images: Tensor, draws: Draws) -> Tensor:
            def drop(module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
                (features,) = inputs
                kept = draws.uniform(features.shape[1], *[1] * (features.dim() - 2)) >= self.rate
                return features * (kept / (1 - self.rate)).to(features.dtype)

            with ExitStack() as hooks:
                for place in places:
                    hooks.enter_context(place.register_forward_pre_hook(drop))
                logits: Tensor = network(images)
            return logits

        return drawn


def blocks(network: nn.Module) -> list[nn.Module]:
    """The innermost modules of a forward of their own that hold several convolutions. Raises ValueError without any."""
    last = last_linear(network)
    several = [
        module for module in network.modules()
        if _convolutions(module) > 1 and _own_forward(module) and all(part is not last for part in module.modules())
    ]  # fmt: skip
    found = [
        module for module in several
        if not any(inner is not module and any(inner is other for other in module.modules()) for inner in several)
    ]  # fmt: skip
    if not found:
        raise ValueError("the network has no residual blocks")
    return found


def _convolutions(module: nn.Module) -> int:
    return sum(isinstance(part, nn.Conv2d) for part in module.modules())


def _own_forward(module: Any) -> bool:
    return not isinstance(module, nn.Sequential | nn.ModuleList)
