"""A pipeline whose mask is drawn anew each time, as a model that answers by chance."""

from dataclasses import dataclass

from torch import Tensor

from pixelprune.draws import Draws
from pixelprune.pruning import PrunedModel


@dataclass(frozen=True)
class Redrawn:
    pruned: PrunedModel

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Logits (N, K). Each draw's mask is that of an image with an id of its own."""
        mask = self.pruned.mask(images, draws.integers().cpu().numpy())
        return self.pruned.frozen(mask)(images)
