"""The data set's own foreground mask: an oracle, the yardstick of the others."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from pixelprune.errors import DataError
from pixelprune.segmenters.segmenter import SegmenterOptions


class Annotation(SegmenterOptions):
    """What the data set says is foreground."""

    name: Literal["annotation"]
    oracle: ClassVar[bool] = True

    def __call__(
        self, images: NDArray[np.uint8], ids: NDArray[np.int64], annotation: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        if annotation is None:
            raise DataError(
                "segmenter annotation: this data set has no foreground masks. Use one that reads images alone, e.g. "
                "{name: grabcut}."
            )
        return annotation.astype(np.float32)
