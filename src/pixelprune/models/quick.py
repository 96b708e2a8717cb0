"""A network for the many passes of an attack: folded, stored pixel by pixel, in bfloat16 where hardware computes it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pixelprune import runtime
from pixelprune.models.folded import folded

ERROR = 0.02
"""By how much a difference of two bfloat16 logits is taken to err at most, as a share of the image's largest logit.

On 800 images, half of them with noise of 8/255, a difference erred by up to 0.015 (0.003 on average) on adversarially
trained small networks and by up to 0.053 (0.009) on a naturally trained one; by up to 0.009 on 48 of a ResNet-18. It is
no bound: a point that is wrong in bfloat16 alone costs the attack an image, never a verdict, which is taken anew on the
returned point.
"""


class Head(nn.Module):
    """A linear layer in float32 inside of a bfloat16 network: bfloat16 logits come in steps of a 256th of their size,
    and a search for the larger of two sees nothing finer."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.layer(features.float())
        return logits


class Coarse(nn.Module):
    """images float32 (N, C, H, W) -> logits float32 (N, K). Convolutions in bfloat16, linear layers in float32.

    The weights of the former are stored in bfloat16, or autocast would round them anew in every pass.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16):
            logits: Tensor = self.network(images)
        return logits.float()


def error(device: torch.device) -> float:
    """Of a difference of two logits of a quick network there, as a share of the image's largest logit."""
    return ERROR if runtime.computes_bfloat16(device) else 0.0


def quick(network: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Nearly the same function in less time, and a gradient that serves as well. No verdict is taken from it.

    What is no torch network is returned as it is.
    """
    if not isinstance(network, nn.Module):
        return network
    twin = runtime.channels_last(folded(network))
    device = next((weight.device for weight in twin.parameters()), torch.device("cpu"))
    if not runtime.computes_bfloat16(device):
        return twin
    for name, module in list(twin.named_modules()):
        if isinstance(module, nn.Conv2d):
            module.to(torch.bfloat16)
        elif isinstance(module, nn.Linear) and name:
            twin.set_submodule(name, Head(module))
    return Coarse(twin)
