"""What every map is: it ranks the pixels of an image, larger = keep first."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from torch import Tensor

from pixelprune.errors import ArtifactError
from pixelprune.options import Options

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Source:
    """What a map may ask for beside the image itself. A map that needs nothing gets an empty one."""

    foreground: Callable[[Tensor, Ids], Tensor] | None = None
    """Images float32 (N, C, H, W) and their ids -> foreground probability, float32 (N, H, W) in [0, 1]."""
    model: Callable[[Tensor], Tensor] | None = None
    """Images float32 (N, C, H, W) -> logits (N, K), in eval mode."""
    state: Mapping[str, Tensor] = field(default_factory=dict)
    """What `fit` learned from the training images."""
    quick: Callable[[Tensor], Tensor] | None = None
    """Nearly the same function as `model` in less time, for gradients at many points; None: the model itself."""

    def probability(self, images: Tensor, ids: Ids) -> Tensor:
        """The foreground probability of the images, float32 (N, H, W). Raises ArtifactError where there is none."""
        if self.foreground is None:
            raise ArtifactError("this map ranks by a foreground and none was given: `reads` must name a segmentation.")
        return self.foreground(images, ids)

    def classifier(self) -> Callable[[Tensor], Tensor]:
        """The model that the map explains. Raises ArtifactError where there is none."""
        if self.model is None:
            raise ArtifactError("this map explains a model and none was given: `reads` must name a trained run.")
        return self.model

    def learned(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """What `fit` stored under `name`. Raises ArtifactError where it is missing or made for another image size."""
        if name not in self.state:
            raise ArtifactError(f"the map's state has no {name!r}: it was not fitted. Run `dvc repro`.")
        value = self.state[name]
        if value.shape[-len(shape) :] != shape:
            raise ArtifactError(f"the map was fitted to images of shape {tuple(value.shape)}, found {shape}.")
        return value


class MapOptions(Options):
    """A member's class is its option schema; its file is called as its `name`.

    needs: what the Source must hold.
    behaviour: static where the map of an image does not depend on its pixels (it may depend on its id); random where,
    moreover, it is drawn anew each time the image is classified; else dynamic.
    has_region: the map's values above 0.5 are a region of their own, which `keep: own` keeps.
    """

    name: str
    reads: str = Field(pattern="^data/raw$", description="The artifact that the map is computed from.")
    needs: ClassVar[Literal["nothing", "foreground", "model"]] = "nothing"
    behaviour: ClassVar[Literal["static", "dynamic", "random"]]
    has_region: ClassVar[bool] = False

    def fit(self, images: NDArray[np.uint8]) -> dict[str, Tensor]:
        """What the map must learn from the training images, uint8 (N, H, W, C); it comes back as `source.state`."""
        return {}

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """Float32 (N, H, W), finite, for images float32 (N, C, H, W) in [0, 1].

        The map of an image does not depend on the other images of the call (to 1e-5: sums may be ordered otherwise).
        """
        raise NotImplementedError


def per_image_scale(values: Tensor) -> Tensor:
    """Values (N, H, W), not negative, divided by the largest of their image.

    The order stays; gradients of any size then fit the float16 numbers in which maps are stored.
    """
    return values / values.flatten(1).amax(1).clamp(min=1e-30)[:, None, None]


def _path(pattern: str, example: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"must be a path such as {example}")
        return value

    return AfterValidator(check)


_KEY = "[A-Za-z][A-Za-z0-9_]*"
Segmentation = Annotated[
    str,
    _path(rf"data/segments/{_KEY}", "data/segments/grabcut"),
    Field(description="The segmentation that says what is foreground, e.g. data/segments/grabcut."),
]
Weights = Annotated[
    str,
    _path(rf"models/{_KEY}/{_KEY}/\d+", "models/none/natural/0"),
    Field(description="The trained run whose decision is explained, e.g. models/none/natural/0."),
]
