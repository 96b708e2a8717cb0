"""Models that carry something of their own for each image (a frozen mask, a count) and can drop images.

A plain model is any callable from images float32 (N, C, H, W) to logits (N, K). One that holds a value per image has
a method `narrow(index)` that gives the model of those images only; attacks call it when an image leaves their batch.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch import Tensor

Model = Callable[[Tensor], Tensor]
T = TypeVar("T")


def narrow(model: T, index: Tensor) -> T:
    """The model or loss of images[index]; index int64 (M,), or bool (N,). Without a value per image it is its own."""
    own = getattr(model, "narrow", None)
    return model if own is None else cast(T, own(index))


class Budget:
    """What an attack spends on each image of a batch: forward and backward passes, int64 (N,) on the CPU."""

    def __init__(self, images: int) -> None:
        self.forward = torch.zeros(images, dtype=torch.int64)
        self.backward = torch.zeros(images, dtype=torch.int64)


class Counted:
    """A model that books its passes to a budget, image by image.

    A batch may hold every image several times; each copy is a pass.
    Gradient passes are told by an input that requires a gradient. Raises ValueError for a batch whose images it
    cannot tell: an attack must narrow its model before it calls it with fewer images.
    """

    def __init__(self, model: Model, budget: Budget, rows: Tensor | None = None, cost: int = 1) -> None:
        """rows: int64 (M,), where in the budget the model's images stand; all of them where left out.

        cost: passes of a network behind one of the model.
        """
        self.model = model
        self.budget = budget
        self.cost = cost
        self.rows = torch.arange(len(budget.forward)) if rows is None else rows

    def __call__(self, images: Tensor) -> Tensor:
        copies, rest = divmod(len(images), max(len(self.rows), 1))
        if rest:
            raise ValueError(f"called with {len(images)} images, but this model is narrowed to {len(self.rows)}")
        passes = torch.full_like(self.rows, copies * self.cost)
        self.budget.forward.index_add_(0, self.rows, passes)  # a row may stand there more than once
        if images.requires_grad and torch.is_grad_enabled():
            self.budget.backward.index_add_(0, self.rows, passes)
        return self.model(images)

    def narrow(self, index: Tensor) -> "Counted":
        return Counted(narrow(self.model, index), self.budget, self.rows[index.cpu()], self.cost)
