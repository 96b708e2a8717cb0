"""What every measure is: a question put to one trained run, answered by numbers, tables and pictures."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from pixelprune.attacks.narrowing import Model
from pixelprune.attacks.threat import Threat
from pixelprune.draws import Draws
from pixelprune.fills.fill import FillOptions
from pixelprune.options import Options
from pixelprune.pruning import FrozenModel, PrunedModel


@dataclass(frozen=True)
class Seen:
    """Images with the pixels that the run keeps of them.

    images float32 (N, 3, H, W) in [0, 1], labels int64 (N,), ids int64 (N,), mask bool (N, 1, H, W), true = kept.
    """

    images: Tensor
    labels: Tensor
    ids: NDArray[np.int64]
    mask: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Seen":
        return Seen(self.images[:count], self.labels[:count], self.ids[:count], self.mask[:count])


@dataclass(frozen=True)
class Subject:
    """A run of a study. The network is in eval mode, its weights are frozen."""

    network: nn.Module
    fill: FillOptions
    test: Seen
    """In random order, so that the first ones are a fair sample."""
    held_out: Seen
    """Images of the training data that no weight was learned from, if there are; else some that were."""
    threat: Threat
    seed: int
    pruned: PrunedModel | None = None
    """The whole pipeline, mask recomputed from the image; None for an oracle."""
    tell: Callable[[str], None] = print

    def model(self, seen: Seen) -> Model:
        """images -> logits, with these images' own masks."""
        return FrozenModel(self.network, seen.mask, self.fill)

    def draws(self, seen: Seen, *words: int | str) -> Draws:
        return Draws.of(seen.ids, self.seed, "measures", *words, device=seen.images.device)

    @cached_property
    def device(self) -> torch.device:
        return self.test.images.device


@dataclass(frozen=True)
class Measured:
    """What a measure found."""

    summary: dict[str, Any]
    """Plain values, for the eye and for comparison: every share with its n; written as summary.json."""
    tables: dict[str, pandas.DataFrame] = field(default_factory=dict)
    """Written as NAME.parquet."""
    pictures: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    """uint8 (H, W) or (H, W, 3), as the report shows them; written as NAME.npy."""


class MeasureOptions(Options):
    """A member's class is its option schema; its file is called as its `name`."""

    name: str
    images: int = Field(200, ge=1, description="Test images that it looks at, at most.")

    def __call__(self, subject: Subject) -> Measured:
        raise NotImplementedError
