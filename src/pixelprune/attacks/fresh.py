"""Random numbers that are new at every pass: what a model draws from that answers by chance."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelprune.draws import Draws


@dataclass(frozen=True)
class Fresh:
    """Streams for N images, others at each call. Every image counts its own calls, so what it gets depends on no batch.

    Narrowed copies count together: a model never sees the same numbers twice, whoever of its copies is asked.
    """

    draws: Draws
    calls: Tensor
    """int64, how often each image of the first, widest one was asked for."""
    rows: Tensor
    """int64 (N,), the places of these images in `calls`."""

    @classmethod
    def of(cls, draws: Draws) -> "Fresh":
        rows = torch.arange(len(draws), device=draws.seeds.device)
        return cls(draws, torch.zeros_like(rows), rows)

    def next(self) -> Draws:
        """The streams of this call."""
        numbers = self.calls[self.rows] + earlier(self.rows)
        self.calls.index_add_(0, self.rows, torch.ones_like(self.rows))
        return self.draws.branch(numbers)

    def narrow(self, index: Tensor) -> "Fresh":
        """Of those images; int64 (M,), where an image may stand more than once, or bool (N,)."""
        return Fresh(self.draws.narrow(index), self.calls, self.rows[index])


def earlier(rows: Tensor) -> Tensor:
    """int64 (N,): how many of the earlier rows are the same."""
    order = rows.argsort(stable=True)
    place = torch.arange(len(rows), device=rows.device)
    before = torch.empty_like(rows)
    before[order] = place - torch.searchsorted(rows[order], rows[order])
    return before
