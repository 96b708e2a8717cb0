"""Reads what the prune stage wrote: the masks of a strategy, its fill, and what kind of strategy it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pixelprune import artifacts, params
from pixelprune.errors import ArtifactError
from pixelprune.fills.catalog import Fill
from pixelprune.fills.fill import FillOptions
from pixelprune.pruning import Share, unpack


@dataclass(frozen=True)
class Pruned:
    """A strategy as it was applied to the data set."""

    folder: Path
    keep: Share
    fill: FillOptions
    behaviour: Literal["static", "dynamic", "random"]
    oracle: bool
    height: int
    width: int

    def masks(self, name: Literal["train", "test"], count: int) -> Tensor:
        """bool (N, 1, H, W), true = kept. Raises ArtifactError where there are not `count` of them."""
        path = self.folder / f"{name}.npy"
        packed = artifacts.load_array(path, "uint8", "N bytes")
        if len(packed) != count:
            raise ArtifactError(f"{path}: found {len(packed)} masks, expected {count}. {artifacts.AGAIN}")
        return torch.from_numpy(unpack(packed, self.height, self.width))[:, None]


def load(folder: Path) -> Pruned:
    """data/pruned/STRATEGY. Raises ArtifactError where it is missing or damaged."""
    card = artifacts.load_json(folder / "card.json")
    fill = params.validated(card["fill"], Fill, "fill.", folder / "card.json")
    kind = {key: card[key] for key in ("keep", "behaviour", "oracle", "height", "width")}
    return Pruned(folder=folder, fill=fill, **kind)


def load_map(path: Path) -> np.ndarray:
    """The values of a map, float16 (N, H, W). Raises ArtifactError where one of them is not finite."""
    values = artifacts.load_array(path, "float16", "N H W")
    wrong = int(np.sum(~np.isfinite(values)))
    if wrong:
        raise ArtifactError(
            f"{path}: found {wrong} values that are not finite, expected a rank for every pixel. "
            "Delete it and run `dvc repro`."
        )
    return values


def picture(values: np.ndarray) -> np.ndarray:
    """A map (N, H, W) for the eye: uint8, each image's own values from 0 (dropped first) to 255 (kept first)."""
    flat = values.astype(np.float32).reshape(len(values), -1)
    low, high = flat.min(1, keepdims=True), flat.max(1, keepdims=True)
    scaled = (flat - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    return (scaled * 255).round().astype(np.uint8).reshape(values.shape)
