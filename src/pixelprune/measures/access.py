"""Where a measure may write: on the kept pixels under their frozen mask, or everywhere with the mask computed anew."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelprune.attacks.narrowing import Model
from pixelprune.maps.class_gradient import chunks
from pixelprune.measures.measure import Seen, Subject
from pixelprune.pruning import PrunedModel

Where = Literal["masked", "free"]


@dataclass(frozen=True)
class Recomputed:
    """The whole pipeline for N images with these ids; narrowed as models are. Gradients pass through kept pixels."""

    pruned: PrunedModel
    ids: NDArray[np.int64]

    def __call__(self, images: Tensor) -> Tensor:
        return self.pruned(images, self.ids)

    def narrow(self, index: Tensor) -> "Recomputed":
        return Recomputed(self.pruned, self.ids[index.cpu().numpy()])


def access(subject: Subject, seen: Seen, where: Where) -> tuple[Model, Tensor]:
    """The model of these images, and the pixels to write on, bool (N, 1, H, W). No oracle is free."""
    if where == "masked":
        return subject.model(seen), seen.mask
    assert subject.pruned is not None
    return Recomputed(subject.pruned, seen.ids), torch.ones_like(seen.mask)


def parts(seen: Seen) -> list[Seen]:
    """The images in runs that fit into memory."""
    return [cut(seen, where) for where in chunks(seen.images)]


def cut(seen: Seen, where: slice) -> Seen:
    return Seen(seen.images[where], seen.labels[where], seen.ids[where], seen.mask[where])


def logits(subject: Subject, seen: Seen) -> Tensor:
    """What the model says of these images, float32 (N, K)."""
    with torch.no_grad():
        return torch.cat([subject.model(part)(part.images) for part in parts(seen)])
