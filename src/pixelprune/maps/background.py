"""The background first: what is left when the foreground is cut out. A control for background reliance."""

from typing import ClassVar, Literal

from torch import Tensor

from pixelprune.maps.map import Ids, MapOptions, Segmentation, Source


class Background(MapOptions):
    name: Literal["background"]
    reads: Segmentation
    needs: ClassVar[Literal["nothing", "foreground", "model"]] = "foreground"
    behaviour: ClassVar[Literal["static", "dynamic"]] = "dynamic"
    has_region: ClassVar[bool] = True

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """1 - foreground probability, in [0, 1]."""
        return 1 - source.probability(images, ids)
