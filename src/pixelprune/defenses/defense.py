"""What every defense is: something put around a trained network, which may learn, draw, or compute gradients itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from pixelprune.attacks.mean import Drawn
from pixelprune.attacks.narrowing import Model
from pixelprune.draws import Draws
from pixelprune.options import Options

Perturb = Callable[[Model, Tensor, Tensor, torch.Generator], Tensor]
"""(model, images float32 (N, 3, H, W) in [0, 1], labels, generator) -> the images to learn from, as large."""
Gradient = Literal["identity", "unrolled"]
"""Of a defense that searches: what it adds to an image is taken as constant (BPDA), or derived step by step."""


def as_they_are(model: Model, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """What natural training learns from."""
    return images


def unmoved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Without augmentation."""
    return images.float() / 255


def never_again(number: int) -> nn.Module:
    raise NotImplementedError("this lesson cannot train networks")


@dataclass(frozen=True)
class Lesson:
    """What a defense may learn from. images uint8 (N, 3, H, W), labels int64 (N,): those of the training part."""

    images: Tensor
    labels: Tensor
    generator: torch.Generator
    tell: Callable[[str], None]
    perturb: Perturb = as_they_are
    """As the network's own training does: what is learned anew from it stays adversarially trained."""
    augment: Callable[[Tensor, torch.Generator], Tensor] = unmoved
    """uint8 (N, 3, H, W) -> float32 in [0, 1], as large: moved and mirrored as the network's own training does."""
    again: Callable[[int], nn.Module] = never_again
    """Trains the network's own training from other first weights, of this number (1, 2, ...); in eval mode."""


class DefenseOptions(Options):
    """A member's class is its option schema; its file is called as its `name`.

    randomised: the same image gets other logits each time. dynamic: it computes gradients, or searches, to predict.
    batch_coupled: an image's logits depend on the other images of the batch. posterior: its draws are of weights.
    The evaluation picks its estimator and its verdict by these, and its checks hold them to the facts.
    """

    name: str
    randomised: ClassVar[bool] = False
    dynamic: ClassVar[bool] = False
    batch_coupled: ClassVar[bool] = False
    posterior: ClassVar[bool] = False

    def learn(self, network: nn.Module, lesson: Lesson) -> dict[str, Tensor]:
        """What it learns beside the network, which is in eval mode and stays as it is; stored as safetensors."""
        return {}

    def around(self, network: nn.Module, learned: dict[str, Tensor], gradient: Gradient = "identity") -> Drawn:
        """The defended network: images float32 (N, 3, H, W) in [0, 1] and a stream for each -> logits (N, K).

        gradient: of a dynamic defense; the others have one of their own.
        """
        raise NotImplementedError

    def shown(self, network: nn.Module, learned: dict[str, Tensor], images: Tensor, draws: Draws) -> dict[str, Tensor]:
        """What becomes of images on their way to the network, by name, the last one as it is shown: each as large.

        For pictures. Nothing where images stay as they are.
        """
        return {}

    def facts(self, network: nn.Module, learned: dict[str, Tensor], height: int, width: int) -> dict[str, float]:
        """What is worth a line beside its results, for images of this size: plain numbers by name."""
        return {}

    def members(self, network: nn.Module, learned: dict[str, Tensor]) -> list[Model]:
        """The networks of a finite posterior, whose mean probability `around` answers; none for all others."""
        return []
