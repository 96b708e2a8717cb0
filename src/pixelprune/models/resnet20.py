"""ResNet-20 in its form for CIFAR, as public checkpoints hold it: a quarter of a million weights.

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2, arXiv:1512.03385: three
stages of three blocks, 16, 32 and 64 channels wide; shortcuts without weights (option A), which read every second pixel
and fill new channels with zeros, half of them on each side. Layers are called as those do.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelprune.models.network import NetworkOptions, Normalize, initialize

WIDTHS = (16, 32, 64)
BLOCKS = 3


class ResNet20(NetworkOptions):
    name: Literal["resnet20"] = "resnet20"

    def build(self, classes: int, generator: torch.Generator) -> nn.Module:
        return initialize(nn.Sequential(Normalize(), Layers(classes)), generator)


class Layers(nn.Module):
    """float32 (N, 3, H, W), normalized -> logits (N, classes)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        one, two, three = WIDTHS
        self.conv1 = nn.Conv2d(3, one, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(one)
        self.relu = nn.ReLU()
        self.layer1 = _stage(one, one)
        self.layer2 = _stage(one, two)
        self.layer3 = _stage(two, three)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(three, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        logits: Tensor = self.linear(self.pool(features).flatten(1))
        return logits


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut; one that widens also halves the image."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, 1 if before == after else 2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut: nn.Module = nn.Identity() if before == after else Padded((after - before) // 2)
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(features)))))
        return self.relu(out + self.shortcut(features))


class Padded(nn.Module):
    """Every second pixel, with so many channels of zeros before the others and behind them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, features: Tensor) -> Tensor:
        return functional.pad(features[:, :, ::2, ::2], (0, 0, 0, 0, self.channels, self.channels))


def _stage(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(Block(before, after), *(Block(after, after) for _ in range(BLOCKS - 1)))
