"""Random pixels: the control that no ranking may lose to. One set for all images, or one for each image id."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from pixelprune import sampling
from pixelprune.maps.map import Ids, MapOptions, Source


class Random(MapOptions):
    name: Literal["random"]
    per_image: bool = Field(False, description="A set of its own for each image id; else one for all.")
    seed: int = Field(0, ge=0, description="Draws the order of the pixels.")
    behaviour: ClassVar[Literal["static", "dynamic"]] = "static"

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """Uniform in [0, 1)."""
        shape = tuple(images.shape[2:])
        if self.per_image:
            return torch.from_numpy(sampling.uniform_per_image(ids, shape, self.seed, "random map")).to(images.device)
        order = torch.from_numpy(sampling.numpy_generator(self.seed, "random map").random(shape, dtype="float32"))
        return order.to(images.device).repeat(len(images), 1, 1)
