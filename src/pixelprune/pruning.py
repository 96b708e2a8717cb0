"""Which pixels a strategy keeps, and the model behind it: a map ranks the pixels, a share says how many, a fill stands
where pixels were dropped.

Source: Hooker et al., "A Benchmark for Interpretability Methods in Deep Neural Networks" (ROAR, here its KAR form:
keep and retrain), NeurIPS 2019, section 3, arXiv:1806.10758.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field
from torch import Tensor

from pixelprune import sampling
from pixelprune.errors import ArtifactError
from pixelprune.fills.black import Black
from pixelprune.fills.catalog import Fill
from pixelprune.fills.fill import FillOptions
from pixelprune.options import Key, Options

Share = float | Literal["own"]

BLOCK = 1 << 20
"""Pixels that are sorted at once: bounds the memory, changes nothing else."""


def _share(value: object) -> object:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value == "own" or (number and 0 < value <= 1):  # type: ignore[operator]
        return value
    raise ValueError('must be a share in (0, 1], or "own" for the region of the map itself')


def _named(value: object) -> object:
    """`fill: black` is short for `fill: {name: black}`."""
    return {"name": value} if isinstance(value, str) else value


class Strategy(Options):
    map: Key = Field(description="Key of `maps`: what ranks the pixels.")
    keep: Annotated[Annotated[float, Field(gt=0, le=1)] | Literal["own"], BeforeValidator(_share)] = Field(
        description='Share of the pixels of an image to keep, or "own": the map\'s own region.'
    )
    fill: Annotated[Fill, BeforeValidator(_named, json_schema_input_type=Fill | str)] = Field(
        Black(name="black"), description="What stands where pixels were dropped: a name, or a mapping with options."
    )


def keep_mask(ranking: NDArray[np.floating[Any]], keep: Share, seed: int = 0) -> NDArray[np.bool_]:
    """Kept pixels, bool (N, H, W): exactly round(keep * H * W), at least 1, in every image; "own": those above 0.5.

    ranking: float (N, H, W), finite, larger = keep first. It is rounded to float16 before anything else, as maps are
    stored: a mask made on the way and one made from the file are the same.
    Equal pixels are kept in one random order, drawn from the seed: row order would favour the top of the image.
    Raises ValueError where the ranking, as float16, is not finite: an order with nan in it means nothing.
    """
    with np.errstate(over="ignore"):
        stored = np.asarray(ranking, np.float16)
    if not np.isfinite(stored).all():
        raise ValueError(f"ranking has {np.sum(~np.isfinite(stored))} values that are not finite (as float16)")
    if keep == "own":
        return stored > np.float16(0.5)
    size = stored.shape[1] * stored.shape[2]
    kept = max(round(keep * size), 1)
    ties = sampling.numpy_generator(seed, "ties").permutation(size)
    mask = np.ones((len(stored), size), bool)
    block = max(BLOCK // size, 1)
    for start in range(0, len(stored) if kept < size else 0, block):
        # No two pixels of an image share a key (value, place in the random order): one threshold parts them exactly.
        keys = _sortable(stored[start : start + block].reshape(-1, size)) << 32 | ties
        threshold = np.partition(keys, size - kept, axis=1)[:, size - kept, None]
        mask[start : start + block] = keys >= threshold
    return mask.reshape(stored.shape)


def pack(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Masks (N, H, W) at one bit a pixel, uint8 (N, ceil(H * W / 8))."""
    return np.packbits(mask.reshape(len(mask), int(np.prod(mask.shape[1:]))), axis=1)


def unpack(packed: NDArray[np.uint8], height: int, width: int) -> NDArray[np.bool_]:
    """What `pack` packed, bool (N, H, W). Raises ArtifactError where the packed rows are of another length."""
    if packed.shape[1] != -(-height * width // 8):
        raise ArtifactError(
            f"packed masks have {packed.shape[1]} bytes an image, {height} x {width} pixels need others."
        )
    return np.unpackbits(packed, axis=1, count=height * width).reshape(len(packed), height, width).astype(bool)


@dataclass(frozen=True)
class FrozenModel:
    """A pruned model whose masks do not answer the attacker: images (N, C, H, W) -> logits, for these N images.

    mask: bool (N, 1, H, W), true = kept. The fill is recomputed on the images it is given.
    """

    model: Callable[[Tensor], Tensor]
    mask: Tensor
    fill: FillOptions

    def __call__(self, images: Tensor) -> Tensor:
        """Raises ValueError where the images are not as many as the masks."""
        if len(images) != len(self.mask):
            raise ValueError(
                f"{len(images)} images for {len(self.mask)} frozen masks; narrow the model with the images"
            )
        return self.model(self.fill(images, self.mask))

    def narrow(self, index: Tensor) -> "FrozenModel":
        """For a subset of the images; index: positions (int64) or bool (N,)."""
        return FrozenModel(self.model, self.mask[index], self.fill)


@dataclass(frozen=True)
class PrunedModel:
    """The whole pipeline, image -> logits: the mask is computed from the images that it is given.

    rank: images float32 (N, C, H, W), ids int64 (N,) -> map, float32 (N, H, W).
    """

    model: Callable[[Tensor], Tensor]
    rank: Callable[[Tensor, NDArray[np.int64]], Tensor]
    keep: Share
    fill: FillOptions

    def mask(self, images: Tensor, ids: NDArray[np.int64] | None = None) -> Tensor:
        """Kept pixels, bool (N, 1, H, W). Images without ids take their position in the call as id."""
        if self.keep == 1:
            return torch.ones(len(images), 1, *images.shape[2:], dtype=torch.bool, device=images.device)
        ranking = self.rank(images.detach(), np.arange(len(images)) if ids is None else ids)
        kept = keep_mask(ranking.detach().cpu().numpy(), self.keep)
        return torch.from_numpy(kept)[:, None].to(images.device)

    def __call__(self, images: Tensor, ids: NDArray[np.int64] | None = None) -> Tensor:
        return self.frozen(self.mask(images, ids))(images)

    def frozen(self, mask: Tensor) -> FrozenModel:
        return FrozenModel(self.model, mask, self.fill)


def _sortable(values: NDArray[np.float16]) -> NDArray[np.int64]:
    """Whole numbers below 2**16 that sort as the values do; -0 equals 0."""
    bits = (values + np.float16(0)).view(np.uint16).astype(np.int64)
    return np.where(bits < 0x8000, bits + 0x8000, 0xFFFF - bits)
