"""The centre of the image first: where photographers put things."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from pixelprune.maps.map import Ids, MapOptions, Source


class Centre(MapOptions):
    name: Literal["centre"]
    behaviour: ClassVar[Literal["static", "dynamic"]] = "static"

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """Minus the distance to the middle of the image, in pixels."""
        height, width = images.shape[2:]
        down = torch.arange(height, device=images.device) - (height - 1) / 2
        across = torch.arange(width, device=images.device) - (width - 1) / 2
        return -torch.hypot(down[:, None], across[None]).float().repeat(len(images), 1, 1)
