"""The whole pipeline under attack: the mask is computed anew from every image that the attacker tries.

Forward, always the true pipeline. Backward, what `smooth` says: without it the mask counts as constant (straight
through); with it gradients also pass through a soft mask, which is the backward half of BPDA.
Source: Athalye et al., "Obfuscated Gradients Give a False Sense of Security", ICML 2018, section 4.1, arXiv:1802.00420.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelprune.pruning import PrunedModel
from pixelprune.selecting import Rank


@dataclass(frozen=True)
class Pipeline:
    """images (N, C, H, W) -> logits, for these N images."""

    pruned: PrunedModel
    ids: NDArray[np.int64]
    smooth: Rank | None = None
    """A map that can be differentiated, close to the one that ranks."""
    temperature: float = 0.3
    """Width of the soft mask, in standard deviations of an image's map."""

    def __call__(self, images: Tensor) -> Tensor:
        mask = self.pruned.mask(images, self.ids)
        if self.smooth is None or not (images.requires_grad and torch.is_grad_enabled()):
            return self.pruned.frozen(mask)(images)
        return self.pruned.model(self._softly(images, mask))

    def narrow(self, index: Tensor) -> "Pipeline":
        return replace(self, ids=self.ids[index.cpu().numpy()])

    def _softly(self, images: Tensor, mask: Tensor) -> Tensor:
        """The filled images, bit for bit; their gradient also says what a pixel's coming or going would change."""
        assert self.smooth is not None
        values = self.smooth(images, self.ids)[:, None]
        level = values.detach()
        width = (self.temperature * level.std((2, 3), keepdim=True)).clamp(min=1e-12)
        soft = torch.sigmoid((values - self._threshold(level, mask)) / width)
        behind = self.pruned.fill.behind(torch.where(mask, images, 0.0), mask)
        return self.pruned.fill(images, mask) + (soft - soft.detach()) * (images - behind).detach()

    def _threshold(self, values: Tensor, mask: Tensor) -> Tensor:
        """Between the values that are kept and those that are dropped, (N, 1, 1, 1)."""
        if self.pruned.keep == "own":
            return torch.full_like(values[:, :, :1, :1], 0.5)
        count = mask.flatten(1).sum(1, keepdim=True).clamp(min=1)
        ordered = values.flatten(1).sort(1, descending=True).values
        return ordered.gather(1, count - 1)[:, :, None, None]
