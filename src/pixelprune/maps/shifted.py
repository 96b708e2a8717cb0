"""The control of the foreground: its own mask, moved by a random circular shift. Equal area, equal shape."""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from pixelprune.maps.map import Ids, MapOptions, Segmentation, Source
from pixelprune.maps.shift import circular_shift


class Shifted(MapOptions):
    name: Literal["shifted"]
    reads: Segmentation
    seed: int = Field(0, ge=0, description="Draws the shift of every image, with its id.")
    needs: ClassVar[Literal["nothing", "foreground", "model"]] = "foreground"
    behaviour: ClassVar[Literal["static", "dynamic"]] = "dynamic"
    has_region: ClassVar[bool] = True

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """Foreground probability in [0, 1], moved; never by (0, 0)."""
        return circular_shift(source.probability(images, ids), ids, self.seed)
