"""What the scores of maps share: images as the network is given them, and the masks of the first pixels of a map."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pixelprune.maps.catalog import Map
from pixelprune.maps.map import Source
from pixelprune.models.quick import quick
from pixelprune.pruning import Share, keep_mask

BATCH = 256
"""Images that pass the network at once."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Asked:
    """A network and the images that it is asked about. The network is in eval mode, its weights are frozen.

    images float32 (N, 3, H, W) in [0, 1], labels and ids int64 (N,); examples uint8 (M, H, W, 3): what maps learn from.
    """

    network: nn.Module
    images: Tensor
    labels: Tensor
    ids: NDArray[np.int64]
    examples: NDArray[np.uint8]

    def first(self, count: int) -> "Asked":
        return Asked(self.network, self.images[:count], self.labels[:count], self.ids[:count], self.examples)

    @cached_property
    def predicted(self) -> Tensor:
        """int64 (N,)."""
        return logits(self.network, self.images).argmax(1)

    def ranking(self, entry: Map, network: nn.Module | None = None, images: Tensor | None = None) -> Floats:
        """The map of each image, float32 (N, H, W); of another network or of other versions of the images, if given."""
        model = self.network if network is None else network
        seen = self.images if images is None else images
        state = {name: value.to(seen.device) for name, value in entry.fit(self.examples).items()}
        found = entry(seen, self.ids, Source(model=model, quick=quick(model), state=state))
        return np.asarray(found.detach().cpu().numpy(), np.float32)


@torch.no_grad()
def logits(network: nn.Module, images: Tensor) -> Tensor:
    """float32 (N, K)."""
    return torch.cat([network(part) for part in images.split(BATCH)])


def kept(ranking: Floats, share: Share, device: torch.device) -> Tensor:
    """The first pixels of a map, as a strategy of this map keeps them: bool (N, 1, H, W)."""
    return torch.from_numpy(keep_mask(ranking, share))[:, None].to(device)
