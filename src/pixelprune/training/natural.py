"""Training on the images as they are."""

from typing import Literal

import torch
from torch import Tensor

from pixelprune.attacks.narrowing import Model
from pixelprune.training.recipe import TrainingOptions


class Natural(TrainingOptions):
    name: Literal["natural"] = "natural"

    def perturb(self, model: Model, images: Tensor, labels: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
        return images
