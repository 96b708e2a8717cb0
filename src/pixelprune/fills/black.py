"""Black: the value 0."""

from typing import ClassVar, Literal

from torch import Tensor

from pixelprune.fills.fill import FillOptions


class Black(FillOptions):
    name: Literal["black"]
    reads: ClassVar[Literal["nothing", "kept"]] = "nothing"
    differentiable: ClassVar[bool] = True

    def behind(self, kept: Tensor, mask: Tensor) -> Tensor:
        return kept.new_zeros(())
