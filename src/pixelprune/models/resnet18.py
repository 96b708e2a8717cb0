"""ResNet-18 in its CIFAR form: a 3x3 first layer of stride 1 and no max-pooling.

Source: He et al., CVPR 2016, arXiv:1512.03385; the small-image form is the one of the CIFAR robustness literature.
The network itself is torchvision's.
"""

from typing import Literal

import torch
from torch import nn

from pixelprune import compat
from pixelprune.models.network import NetworkOptions, Normalize, initialize


class ResNet18(NetworkOptions):
    name: Literal["resnet18"] = "resnet18"

    def build(self, classes: int, generator: torch.Generator) -> nn.Module:
        network = compat.torchvision().models.resnet18(num_classes=classes)
        network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
        return initialize(nn.Sequential(Normalize(), network), generator)
