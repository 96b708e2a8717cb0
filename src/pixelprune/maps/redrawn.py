"""Random pixels, drawn anew each time an image is classified: the network behind them answers by chance."""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from pixelprune.draws import Draws
from pixelprune.maps.map import Ids, MapOptions, Source


class Redrawn(MapOptions):
    name: Literal["redrawn"]
    seed: int = Field(0, ge=0, description="Draws the order of the pixels, with the id of each draw.")
    behaviour: ClassVar[Literal["static", "dynamic", "random"]] = "random"

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """Uniform in [0, 1). Each draw comes with an id of its own; the stored maps are those of the images' ids."""
        return Draws.of(ids, self.seed, "redrawn map", device=images.device).uniform(*images.shape[2:])
