"""What every fill is: it says what stands where pixels were dropped."""

from typing import ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelprune.options import Options


class FillOptions(Options):
    """A member writes `behind`; what no fill may do (read a dropped pixel, touch a kept one) is settled here.

    reads: whether the filled pixels depend on the kept ones.
    differentiable: whether gradients pass through the filled pixels; else they are treated as constant.
    """

    name: str
    reads: ClassVar[Literal["nothing", "kept"]]
    differentiable: ClassVar[bool]

    def fitted(self, images: NDArray[np.uint8]) -> Self:
        """The fill with what it learns from the training images, uint8 (N, H, W, C)."""
        return self

    def __call__(self, images: Tensor, mask: Tensor) -> Tensor:
        """Images float32 (N, C, H, W) in [0, 1] where the mask, bool (N, 1, H, W), is true, else the fill.

        Kept pixels are bit-identical; dropped pixels are not read, whatever they hold, and get no gradient.
        """
        return torch.where(mask, images, self.behind(torch.where(mask, images, 0.0), mask))

    def behind(self, kept: Tensor, mask: Tensor) -> Tensor:
        """The fill in [0, 1], broadcastable to (N, C, H, W). kept: the images with 0 where pixels were dropped."""
        raise NotImplementedError
