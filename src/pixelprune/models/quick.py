"""A network for the many passes of an attack: folded, stored pixel by pixel, in bfloat16 where hardware computes it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pixelprune import runtime
from pixelprune.models.folded import folded


@dataclass(frozen=True)
class Coarse:
    """images float32 (N, C, H, W) -> logits bfloat16 (N, K). Convolutions and linear layers in bfloat16.

    Their weights are stored in bfloat16, or autocast would round them anew in every pass.
    """

    network: nn.Module

    def __call__(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16):
            logits: Tensor = self.network(images)
        return logits


def quick(network: nn.Module) -> nn.Module | Coarse:
    """Nearly the same function in less time, and a gradient that serves as well. No verdict is taken from it."""
    twin = runtime.channels_last(folded(network))
    device = next((weight.device for weight in twin.parameters()), torch.device("cpu"))
    if not runtime.computes_bfloat16(device):
        return twin
    for module in twin.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.to(torch.bfloat16)
    return Coarse(twin)
