"""Random numbers that belong to an image: the same in every batch, order and process, and on every device.

A counter is hashed with the image's seed, so nothing has to be drawn for images that are not there.
Source of the hash: Steele et al., "Fast splittable pseudorandom number generators", OOPSLA 2014, section 4: SplitMix64.
"""

from collections.abc import Sequence
from math import pi, prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelprune import sampling

GOLDEN = 0x9E3779B97F4A7C15 - 2**64
MULTIPLIERS = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64
"""Of SplitMix64, as signed integers; int64 products wrap around as unsigned ones do."""


class Draws:
    """A stream of numbers for each of N images. Every call takes the next numbers of each stream."""

    def __init__(self, seeds: Tensor) -> None:
        """seeds: int64 (N,)."""
        self.seeds = seeds
        self._taken = 0

    @classmethod
    def of(cls, ids: NDArray[np.int64], *words: int | str, device: str | torch.device = "cpu") -> "Draws":
        """Streams that are a function of each image's id and the words alone."""
        common = int(sampling.numpy_generator(*words).integers(2**63))
        return cls(_mix(_mix(torch.tensor(np.asarray(ids, np.int64), device=device)) + common))

    @classmethod
    def seeded(cls, images: int, generator: torch.Generator) -> "Draws":
        """Streams for images without an id, e.g. those of one training step."""
        return cls(torch.randint(2**62, (images,), generator=generator, device=generator.device))

    @classmethod
    def together(cls, parts: Sequence["Draws"]) -> "Draws":
        """The streams of all parts, one part after the other. None may have been drawn from."""
        assert not any(part._taken for part in parts)
        return cls(torch.cat([part.seeds for part in parts]))

    def __len__(self) -> int:
        return len(self.seeds)

    def narrow(self, index: Tensor) -> "Draws":
        """The streams of those images, from where they are; index int64 (M,), or bool (N,)."""
        part = Draws(self.seeds[index])
        part._taken = self._taken
        return part

    def branch(self, number: int | Tensor) -> "Draws":
        """Streams of their own, whatever is taken from these. number: one for all, or of each image, int64 (N,)."""
        numbers = torch.as_tensor(number, dtype=torch.int64, device=self.seeds.device)
        return Draws(_mix(self.seeds ^ _mix((numbers + 1) * GOLDEN)))

    def integers(self, *shape: int) -> Tensor:
        """int64 (N, *shape), each in [0, 2**62)."""
        return (self._bits(prod(shape)) >> 1 & (2**62 - 1)).view(len(self), *shape)

    def uniform(self, *shape: int) -> Tensor:
        """float32 (N, *shape) in [0, 1)."""
        return (_high(self._bits(prod(shape)), 24).float() / 2**24).view(len(self), *shape)

    def signs(self, *shape: int) -> Tensor:
        """float32 (N, *shape), -1 or 1."""
        return (1 - 2 * _high(self._bits(prod(shape)), 1).float()).view(len(self), *shape)

    def normal(self, *shape: int) -> Tensor:
        """float32 (N, *shape), standard normal: Box and Muller's transform."""
        radius = (-2 * torch.log1p(-self.uniform(*shape))).sqrt()
        return radius * torch.cos(2 * pi * self.uniform(*shape))

    def _bits(self, count: int) -> Tensor:
        """int64 (N, count), every bit random."""
        self._taken += 1
        stream = _mix(self.seeds + _wrapped(GOLDEN * self._taken))
        return _mix(stream[:, None] + torch.arange(1, count + 1, device=self.seeds.device) * GOLDEN)


def _mix(values: Tensor) -> Tensor:
    for shift, multiplier in zip((30, 27), MULTIPLIERS):
        values = (values ^ _right(values, shift)) * multiplier
    return values ^ _right(values, 31)


def _right(values: Tensor, shift: int) -> Tensor:
    """A shift that brings in zeros; torch's brings in the sign."""
    return values >> shift & (2 ** (64 - shift) - 1)


def _high(values: Tensor, bits: int) -> Tensor:
    return _right(values, 64 - bits)


def _wrapped(number: int) -> int:
    return (number + 2**63) % 2**64 - 2**63
