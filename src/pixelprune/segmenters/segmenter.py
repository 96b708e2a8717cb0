"""What a segmenter is: it says for every pixel how likely it belongs to the object that the image is about."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pixelprune.options import Options


class SegmenterOptions(Options):
    """A member adds `name: Literal[...]`, its own fields, and `__call__`."""

    name: str
    oracle: ClassVar[bool] = False
    """Whether it reads the annotation; every other member could run on an unlabelled image."""

    def __call__(
        self, images: NDArray[np.uint8], ids: NDArray[np.int64], annotation: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        """Foreground probability, float32 (N, H, W) in [0, 1]; row i depends on image i and ids[i] alone.

        images: uint8 (N, H, W, 3) RGB. ids: int64 (N,), seeds of random draws. annotation: bool (N, H, W), read by
        oracles only, which raise DataError where it is None.
        """
        raise NotImplementedError
