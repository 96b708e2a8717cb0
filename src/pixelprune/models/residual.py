"""A small residual network for any input size.

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2, arXiv:1512.03385: basic
blocks on three widths. Ours takes the widths, the depth and the stride of the first layer as options: with stride 2,
which halves the image at once, equal multiply-adds take less time, since large feature maps are what costs.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pixelprune.models.network import NetworkOptions, Normalize, initialize
from pixelprune.options import Listed


class Residual(NetworkOptions):
    name: Literal["residual"] = "residual"
    widths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Listed] = Field(
        (24, 48, 96), min_length=1, description="Channels of each stage."
    )
    blocks: int = Field(1, ge=1, description="Residual blocks in each stage.")
    stride: Literal[1, 2] = Field(2, description="Stride of the first layer; 2 halves the image at once.")

    def build(self, classes: int, generator: torch.Generator) -> nn.Module:
        size = {1: 3, 2: 4}[self.stride]
        layers: list[nn.Module] = [
            Normalize(),
            nn.Conv2d(3, self.widths[0], size, self.stride, padding=1, bias=False),
            nn.BatchNorm2d(self.widths[0]),
            nn.ReLU(),
        ]
        before = self.widths[0]
        for stage, width in enumerate(self.widths):
            for block in range(self.blocks):
                layers.append(BasicBlock(before, width, stride=2 if stage and not block else 1))
                before = width
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes)]
        return initialize(nn.Sequential(*layers), generator)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut: nn.Module = nn.Identity()
        self.after = nn.ReLU()
        if stride > 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, features: Tensor) -> Tensor:
        return self.after(self.body(features) + self.shortcut(features))
