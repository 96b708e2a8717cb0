"""A network for the many passes of an attack: folded, stored pixel by pixel, in bfloat16 where hardware computes it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pixelprune import runtime
from pixelprune.models.folded import folded

ERROR = 0.02
"""By how much a difference of two bfloat16 logits is taken to err at most, as a share of the image's largest logit.

One logit erred by up to 0.0105 (0.004 on average) on 400 images of a trained small network, and by up to 0.009 on 24
images of an untrained ResNet-18. Two such errors could add up to a little more than this: it is no bound. A point that
is wrong in bfloat16 alone costs the attack an image, never a verdict, which is taken anew on the returned point.
"""


class Coarse(nn.Module):
    """images float32 (N, C, H, W) -> logits float32 (N, K). Convolutions and linear layers in bfloat16.

    Their weights are stored in bfloat16, or autocast would round them anew in every pass.
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
    for module in twin.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.to(torch.bfloat16)
    return Coarse(twin)
