"""Every pixel alike: with keep 1 the full image, with a share one fixed random set of pixels."""

from typing import ClassVar, Literal

from torch import Tensor

from pixelprune.maps.map import Ids, MapOptions, Source


class Constant(MapOptions):
    name: Literal["constant"]
    behaviour: ClassVar[Literal["static", "dynamic"]] = "static"

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        return images.new_zeros(len(images), *images.shape[2:])
