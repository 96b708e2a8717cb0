"""The mean color of the training images."""

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from pixelprune.fills.fill import FillOptions
from pixelprune.options import Listed

Level = Annotated[float, Field(ge=0, le=1)]


class Mean(FillOptions):
    name: Literal["mean"]
    color: Annotated[tuple[Level, Level, Level] | None, Listed] = Field(
        None, description="Red, green, blue in [0, 1]; left out: the mean of the training images."
    )
    reads: ClassVar[Literal["nothing", "kept"]] = "nothing"
    differentiable: ClassVar[bool] = True

    def fitted(self, images: NDArray[np.uint8]) -> Self:
        """With the mean color of images uint8 (N, H, W, 3), unless a color was given."""
        if self.color is not None:
            return self
        total = np.sum([image.sum((0, 1), dtype=np.int64) for image in images], axis=0)
        red, green, blue = (float(level) for level in total / (images.size // 3) / 255)
        return self.model_copy(update={"color": (red, green, blue)})

    def behind(self, kept: Tensor, mask: Tensor) -> Tensor:
        """Raises ValueError where no color is known: `fitted` was not called."""
        if self.color is None:
            raise ValueError("the mean fill has no color: call fitted(training images) first")
        return kept.new_tensor(self.color)[:, None, None]
