"""One fixed image of uniform noise, the same behind every image."""

from functools import lru_cache
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from pixelprune import sampling
from pixelprune.fills.fill import FillOptions


class Noise(FillOptions):
    name: Literal["noise"]
    seed: int = Field(0, ge=0, description="Draws the image.")
    reads: ClassVar[Literal["nothing", "kept"]] = "nothing"
    differentiable: ClassVar[bool] = True

    def behind(self, kept: Tensor, mask: Tensor) -> Tensor:
        return _image(self.seed, *kept.shape[1:]).to(kept)


@lru_cache(maxsize=8)
def _image(seed: int, *shape: int) -> Tensor:
    """Uniform in [0, 1), float32 (C, H, W)."""
    return torch.from_numpy(sampling.numpy_generator(seed, "noise fill").random(shape, dtype="float32"))
