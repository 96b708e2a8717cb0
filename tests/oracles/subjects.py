"""Runs small enough that what a measure must find can be computed by hand."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from pixelprune.attacks.threat import Threat
from pixelprune.fills.black import Black
from pixelprune.measures.measure import Seen, Subject
from pixelprune.pruning import PrunedModel


class Told(nn.Module):
    """A network that is a function of images (N, 3, H, W) -> logits (N, K)."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)


def linear(weights: Tensor, bias: float = 0.0) -> Told:
    """Two classes: logits 0 and weights (3, H, W) times the image, plus bias."""

    def logits(images: Tensor) -> Tensor:
        score = (images * weights).sum((1, 2, 3)) + bias
        return torch.stack([torch.zeros_like(score), score], 1)

    return Told(logits)


def subject(
    network: nn.Module, images: Tensor, labels: Tensor, *, norm: str = "linf", eps: float = 8 / 255,
    mask: Tensor | None = None, pruned: PrunedModel | None = None,
) -> Subject:  # fmt: skip
    """All pixels are kept where no mask, bool (N, 1, H, W), is given; held out images are the same as those tested."""
    kept = torch.ones_like(images[:, :1], dtype=torch.bool) if mask is None else mask
    seen = Seen(images, labels, np.arange(len(images), dtype=np.int64) * 3 + 1, kept)
    threat = Threat.model_validate({"norm": norm, "eps": eps})
    return Subject(network, Black(name="black"), seen, seen, threat, 5, pruned, tell=lambda _: None)


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
