"""A network's last linear layer, apart from what comes before it: where the cheap posteriors are."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pixelprune.models.penultimate import last_linear, penultimate


@dataclass(frozen=True)
class LastLayer:
    """features: images float32 (N, C, H, W) -> (N, D); weight: (K, D). Their product is the logits.

    A bias is the weight of one more feature, which is 1 for every image.
    """

    features: Callable[[Tensor], Tensor]
    weight: Tensor

    @classmethod
    def of(cls, network: nn.Module) -> "LastLayer":
        """Raises ValueError where there is no linear layer."""
        layer, before = last_linear(network), penultimate(network)
        weight = layer.weight.detach()
        if layer.bias is None:
            return cls(lambda images: before(images).to(weight), weight)
        return cls(
            lambda images: _with_one(before(images).to(weight)), torch.cat([weight, layer.bias.detach()[:, None]], 1)
        )


def _with_one(features: Tensor) -> Tensor:
    return torch.cat([features, torch.ones_like(features[:, :1])], 1)
