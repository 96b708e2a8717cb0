"""A small network that learned to segment as a classical segmenter does: an attacker differentiates it instead."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelprune import sampling
from pixelprune.datasets.split import Split
from pixelprune.models.network import initialize
from pixelprune.selecting import Rank, Selector

IMAGES = 1000
WIDTH = 24
DILATIONS = (1, 1, 2, 4, 8)
EPOCHS = 12
BATCH = 64
LEARNING_RATE = 3e-3


def learn(images: Tensor, probability: Tensor, seed: int) -> nn.Module:
    """A network from images, float32 (N, 3, H, W) in [0, 1], to the logits of their probability, float32 (N, H, W).

    It returns (N, 1, H, W). Dilated convolutions see the whole of a small picture.
    """
    layers: list[nn.Module] = []
    before = images.shape[1] + 2
    for dilation in DILATIONS:
        layers += [nn.Conv2d(before, WIDTH, 3, padding=dilation, dilation=dilation), nn.Softplus(beta=10)]
        before = WIDTH
    network = nn.Sequential(*layers, nn.Conv2d(before, 1, 1))
    initialize(network, sampling.torch_generator(seed, "surrogate weights"))
    network.to(images.device)
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(images), generator=sampling.torch_generator(seed, "surrogate", epoch))
        for chosen in order.to(images.device).split(BATCH):
            logit = network(with_place(images[chosen]))[:, 0]
            loss = functional.binary_cross_entropy_with_logits(logit, probability[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    return network.eval().requires_grad_(False)


def smooth_map(selector: Selector, train: Split, seed: int, device: torch.device) -> Rank | None:
    """The selector's map with a gradient; None where no image's mask can be moved."""
    if selector.behaviour == "static":
        return None
    segment = selector.foreground()
    if segment is None:
        return selector.smooth(None)
    chosen = sampling.stratified(train.labels, IMAGES, sampling.numpy_generator(seed, "surrogate images"))
    images = torch.from_numpy(train.images[chosen]).permute(0, 3, 1, 2).to(device).float() / 255
    return selector.smooth(foreground(learn(images, segment(images, train.ids[chosen]), seed)))


def foreground(network: nn.Module) -> Rank:
    """As maps.map.Source.foreground, and differentiable."""
    return lambda images, ids: network(with_place(images))[:, 0].sigmoid()


def with_place(images: Tensor) -> Tensor:
    """The images with two more channels: row and column, from -1 to 1. Segmenters know where the middle is."""
    height, width = images.shape[2:]
    rows = torch.linspace(-1, 1, height, device=images.device)[:, None].expand(height, width)
    columns = torch.linspace(-1, 1, width, device=images.device).expand(height, width)
    place = torch.stack([rows, columns]).expand(len(images), -1, -1, -1)
    return torch.cat([2 * images - 1, place], 1)
