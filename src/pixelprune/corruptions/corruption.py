"""What every corruption is: five severities of one distortion, seeded by image.

Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
ICLR 2019, arXiv:1903.12261; severities of the CIFAR-10-C generator, which are made for 32x32 images.
Ours is implemented anew in torch and differs where a member says so: results are "-C-like", not CIFAR-10-C.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelprune import sampling

Level = TypeVar("Level")


@dataclass(frozen=True)
class Draws:
    """The random numbers of a batch: row i depends on the seed, the corruption and ids[i], never on the severity.

    `what` tells the draws of one corruption apart. All are float32 (N, *shape) on the device of the images.
    """

    corruption: str
    ids: NDArray[np.int64]
    seed: int
    device: torch.device

    def uniform(self, what: str, *shape: int) -> Tensor:
        """In [0, 1)."""
        rows = sampling.uniform_per_image(self.ids, shape, self.seed, self.corruption, what)
        return torch.from_numpy(rows).to(self.device)

    def normal(self, what: str, *shape: int) -> Tensor:
        """Mean 0, standard deviation 1."""
        rows = np.empty((len(self.ids), *shape), np.float32)
        for row, generator in zip(rows, self.generators(what), strict=True):
            row[...] = generator.standard_normal(shape, dtype=np.float32)
        return torch.from_numpy(rows).to(self.device)

    def generators(self, what: str) -> list[np.random.Generator]:
        """One for each image, for draws that are neither uniform nor normal."""
        return [sampling.numpy_generator(self.seed, self.corruption, what, int(image)) for image in self.ids]


@dataclass(frozen=True)
class Corruption(Generic[Level]):
    """A distortion and its parameters at severity 1 to 5."""

    name: str
    levels: tuple[Level, ...]
    distort: Callable[[Tensor, Level, Draws], Tensor]

    def __call__(self, images: Tensor, severity: int, ids: NDArray[np.int64], seed: int) -> Tensor:
        """The corrupted images, float32 (N, C, H, W) in [0, 1].

        images: float32 (N, C, H, W) in [0, 1], C = 1 or 3 (RGB); not changed. ids: int64 (N,), names of the images.
        Severity 0 returns the images themselves. An image's result does not depend on its batch, and all severities
        share its random draws, so that a larger severity does more of the same.
        Raises ValueError for a severity outside 0..5, or shapes and types that do not fit.
        """
        if severity not in range(len(self.levels) + 1):
            raise ValueError(f"{self.name}: severity {severity}, expected 0..{len(self.levels)}")
        if images.ndim != 4 or images.shape[1] not in (1, 3) or images.dtype != torch.float32:
            raise ValueError(
                f"{self.name}: found images {images.dtype} {tuple(images.shape)}, expected float32 (N, 1 or 3, H, W)"
            )
        if len(ids) != len(images):
            raise ValueError(f"{self.name}: {len(ids)} ids for {len(images)} images")
        if severity == 0 or len(images) == 0:
            return images
        draws = Draws(self.name, ids, seed, images.device)
        return self.distort(images, self.levels[severity - 1], draws).clamp(0, 1)


def severities(*levels: Level) -> Callable[[Callable[[Tensor, Level, Draws], Tensor]], Corruption[Level]]:
    """Makes a corruption of the function below it: `distort(images, level, draws)`, which need not clamp."""

    def corruption(distort: Callable[[Tensor, Level, Draws], Tensor]) -> Corruption[Level]:
        return Corruption(distort.__name__, levels, distort)

    return corruption
