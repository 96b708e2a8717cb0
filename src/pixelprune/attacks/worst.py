"""The worst point found so far for each image of a batch, and who is still to be attacked."""

import torch
from torch import Tensor

from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Model

SURE = 1e-3
"""An image is attacked until its margin exceeds this: one that is wrong by less could be right again when it is
classified in another batch, whose sums round differently."""


class Worst:
    """points: float32 (N, C, H, W), the best iterate of every image; margins: float32 (N,), their margins.

    logits: float32 (N, K), of the images as they came.
    """

    def __init__(self, model: Model, images: Tensor, labels: Tensor, mask: Tensor) -> None:
        """Starts from the images as they are: one forward pass. Those that are wrong already are left alone."""
        with torch.no_grad():
            self.logits = model(images)
        self.margins = margin(self.logits, labels)
        self.points = images.clone()
        self._open = (self.margins <= 0) & mask.flatten(1).any(1)

    @property
    def standing(self) -> Tensor:
        """int64 (M,): the images that no point fooled yet and that the attacker may write on."""
        return (self._open & (self.margins <= SURE)).nonzero().squeeze(1)

    def see(self, index: Tensor, points: Tensor, margins: Tensor) -> Tensor:
        """Keeps those points that are worse than what is held. points (M, C, H, W) and margins (M,) of images[index].

        An image may stand there more than once. Returns bool (M,): the images that still stand after these points.
        """
        best = self.margins.scatter_reduce(0, index, margins, "amax")
        worse = ((margins == best[index]) & (margins > self.margins[index])).nonzero().squeeze(1)
        first = torch.full_like(self.margins, len(index), dtype=torch.int64)
        first.scatter_reduce_(0, index[worse], worse, "amin")
        worse = worse[first[index[worse]] == worse]  # of several equally bad points of an image, the first
        self.points[index[worse]] = points[worse]
        self.margins[index[worse]] = margins[worse]
        return self.stands(index)

    def stands(self, index: Tensor) -> Tensor:
        """bool (M,): which of images[index] no point fooled yet."""
        return self.margins[index] <= SURE
