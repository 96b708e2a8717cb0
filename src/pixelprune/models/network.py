"""What every network shares: pixels come in as [0, 1], normalization is the first thing inside."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from pixelprune.options import Options


class NetworkOptions(Options):
    """A way to build a network. Members define `build`."""

    name: str
    kind: ClassVar[str] = "network"

    def build(self, classes: int, generator: torch.Generator) -> nn.Module:
        """float32 (N, 3, H, W) in [0, 1] -> logits float32 (N, classes), weights drawn from `generator`."""
        raise NotImplementedError


class Normalize(nn.Module):
    """Subtracts the mean and divides by the standard deviation of each channel; both belong to the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, 3, 1, 1), 0.5))
        self.register_buffer("std", torch.full((1, 3, 1, 1), 0.25))

    def fit(self, images: Tensor) -> None:
        """Takes both from images uint8 (N, 3, H, W)."""
        pixels = images[:: max(1, len(images) // 2000)].float() / 255
        self.mean.copy_(pixels.mean((0, 2, 3), keepdim=True))
        self.std.copy_(pixels.std((0, 2, 3), keepdim=True).clamp(min=1e-3))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


def initialize(network: nn.Module, generator: torch.Generator) -> nn.Module:
    """Draws all weights anew: convolutions as He et al. 2015, linear layers as torch's default; all biases are 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    return network


def multiply_adds(network: nn.Module, height: int, width: int) -> int:
    """Multiply-add operations of the convolutions and linear layers for one image."""
    total = 0

    def count(module: nn.Module, _: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        weights = module.weight
        assert isinstance(weights, Tensor)
        total += out[0].numel() * (weights.numel() // len(weights))  # of each value: the inputs that it is summed from

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, height, width, device=next(network.parameters()).device))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return total
