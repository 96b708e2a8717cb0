"""Any classifier of torchvision's, as it stands there: made for ImageNet, its last layer for as many classes as wanted.

Pixels come in as [0, 1] and are normalized in front of it. Its own weights are read by the training `pretrained`.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from pixelprune import compat
from pixelprune.errors import ParamsError
from pixelprune.mistakes import near
from pixelprune.models.drawn import drawn_from
from pixelprune.models.network import NetworkOptions, Normalize

UNFIT = ("googlenet", "inception_v3", "maxvit_t", "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32")
"""They take images of one size only, or answer more than logits while they are trained."""


class TorchvisionNetwork(NetworkOptions):
    name: Literal["torchvision"] = "torchvision"
    model: str = Field(description="As torchvision calls it: resnet18, resnet50, vgg16_bn, convnext_tiny, ...")

    def build(self, classes: int, generator: torch.Generator) -> nn.Module:
        """As `NetworkOptions.build`. Raises ParamsError where torchvision has no such classifier of one output."""
        models = compat.torchvision().models
        known = [name for name in models.list_models(module=models) if name not in UNFIT]
        if self.model not in known:
            raise ParamsError(
                f"network torchvision: no model {self.model!r}{near(self.model, known)}. There is: {', '.join(known)}."
            )
        with drawn_from(generator):
            network = models.get_model(self.model, weights=None, num_classes=classes)
        return nn.Sequential(Normalize(), network)
