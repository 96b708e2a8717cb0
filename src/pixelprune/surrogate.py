"""A small network that learned to segment as a classical segmenter does: an attacker differentiates it instead."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pixelprune import runtime, sampling
from pixelprune.models.network import initialize

IMAGES = 1000
WIDTH = 24
DILATIONS = (1, 1, 2, 4, 8)
"""Of the convolutions: together they see the whole of a small picture."""
PLACE = 2
"""Channels that say where a pixel lies: row and column. Segmenters know where the middle is."""
EPOCHS = 12
BATCH = 64
LEARNING_RATE = 3e-3
CHUNK = 250


def build(seed: int = 0) -> nn.Module:
    """images float32 (N, 3, H, W) in [0, 1] and their place (with_place) -> logits (N, 1, H, W)."""
    layers: list[nn.Module] = []
    before = 3 + PLACE
    for dilation in DILATIONS:
        layers += [nn.Conv2d(before, WIDTH, 3, padding=dilation, dilation=dilation), nn.Softplus(beta=10)]
        before = WIDTH
    network = nn.Sequential(*layers, nn.Conv2d(before, 1, 1))
    return initialize(network, sampling.torch_generator(seed, "surrogate weights"))


def learn(
    images: NDArray[np.uint8], probability: NDArray[np.float16], device: torch.device, seed: int = 0
) -> nn.Module:
    """The network that comes near this probability (N, H, W) on images (N, H, W, 3), in eval mode and frozen.

    It looks at IMAGES of them, drawn from the seed.
    """
    chosen = sampling.numpy_generator(seed, "surrogate images").permutation(len(images))[:IMAGES]
    pixels, goal = tensor(images[chosen], device), torch.from_numpy(probability[chosen]).float().to(device)
    network = runtime.channels_last(build(seed).to(device))
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(pixels), generator=sampling.torch_generator(seed, "surrogate", epoch))
        for batch in order.to(device).split(BATCH):
            with torch.autocast(device.type, torch.bfloat16, enabled=runtime.computes_bfloat16(device)):
                logit = network(with_place(pixels[batch]).contiguous(memory_format=torch.channels_last))[:, 0]
            loss = functional.binary_cross_entropy_with_logits(logit.float(), goal[batch])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    return network.eval().requires_grad_(False)


def segment(network: nn.Module, images: NDArray[np.uint8], device: torch.device) -> NDArray[np.float16]:
    """What the network takes for the foreground of images (N, H, W, 3): probability (N, H, W)."""
    parts = [tensor(images[start : start + CHUNK], device) for start in range(0, len(images), CHUNK)]
    with torch.no_grad():
        return torch.cat([foreground(network)(part, None).half().cpu() for part in parts]).numpy()


def foreground(network: nn.Module) -> Callable[[Tensor, NDArray[np.int64] | None], Tensor]:
    """As maps.map.Source.foreground, and differentiable."""
    return lambda images, ids: network(with_place(images))[:, 0].sigmoid()


def tensor(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    return torch.tensor(images).permute(0, 3, 1, 2).to(device).float() / 255


def with_place(images: Tensor) -> Tensor:
    """The images with two more channels: row and column, from -1 to 1."""
    height, width = images.shape[2:]
    rows = torch.linspace(-1, 1, height, device=images.device)[:, None].expand(height, width)
    columns = torch.linspace(-1, 1, width, device=images.device).expand(height, width)
    place = torch.stack([rows, columns]).expand(len(images), -1, -1, -1)
    return torch.cat([2 * images - 1, place], 1)
