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

        Returns bool (M,): the images that still stand after these points.
        """
        worse = margins > self.margins[index]
        self.points[index[worse]] = points[worse]
        self.margins[index[worse]] = margins[worse]
        return self.margins[index] <= SURE
