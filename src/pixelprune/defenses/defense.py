"""What every defense is: something put around a trained network, which may learn, draw, or compute gradients itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pixelprune.attacks.mean import Drawn
from pixelprune.options import Options


@dataclass(frozen=True)
class Lesson:
    """What a defense may learn from. images uint8 (N, 3, H, W), labels int64 (N,): those of the training part."""

    images: Tensor
    labels: Tensor
    generator: torch.Generator
    tell: Callable[[str], None]


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

    def around(self, network: nn.Module, learned: dict[str, Tensor]) -> Drawn:
        """The defended network: images float32 (N, 3, H, W) in [0, 1] and a stream for each -> logits (N, K)."""
        raise NotImplementedError
