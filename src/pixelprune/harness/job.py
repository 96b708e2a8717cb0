"""What the attack stage evaluates: one run of a study, with everything that the evaluation needs of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pixelprune.attacks.threat import Threat
from pixelprune.datasets.split import Split
from pixelprune.harness import accesses
from pixelprune.harness.accesses import Access
from pixelprune.harness.ladder import Attack, Batch
from pixelprune.harness.settings import Evaluation
from pixelprune.pruned import Pruned
from pixelprune.pruning import PrunedModel
from pixelprune.selecting import Rank


@dataclass(frozen=True)
class Run:
    """A strategy x training x seed. Networks are in eval mode, their weights frozen."""

    name: str
    """strategy/training"""
    network: nn.Module
    full_network: nn.Module | None
    """The model of the same training and seed that prunes nothing; None where this run is that model."""
    strategy: Pruned
    rank: Rank | None
    """Ranks the pixels of corrupted images; None for an oracle, which keeps the masks of the clean ones."""
    smooth: Rank | None
    """A map with a gradient, close to `rank`; None where no mask answers the attacker."""
    threats: Mapping[str, Threat]
    ladder: Mapping[str, Attack]
    corruptions: Mapping[str, Callable[..., Tensor]]
    settings: Evaluation
    seed: int

    @property
    def headline(self) -> str:
        return "full" if self.full_network is None else "kept"

    @property
    def pruned(self) -> PrunedModel:
        """The whole pipeline; not for an oracle, whose masks nobody can recompute."""
        assert self.rank is not None
        return PrunedModel(self.network, self.rank, self.strategy.keep, self.strategy.fill)

    def accesses(self, batch: Batch, masks: Tensor) -> list[Access]:
        """Those with a mask that does not move; masks: bool (N, 1, H, W) of these images."""
        if self.full_network is None:
            return [accesses.full(self.network, masks)]
        return accesses.of_pruned(self.network, self.full_network, masks, self.strategy.fill, batch.ids)

    def own_access(self, batch: Batch, masks: Tensor) -> Access:
        """The one named by `headline`."""
        return next(access for access in self.accesses(batch, masks) if access.name == self.headline)


def batch_of(test: Split, chosen: NDArray[np.int64], device: torch.device, examples: int = 0) -> Batch:
    """The test images at these positions. examples: of how many, the first ones, adversarial images are kept."""
    images = torch.from_numpy(test.images[chosen]).permute(0, 3, 1, 2).to(device).float() / 255
    labels = torch.from_numpy(test.labels[chosen]).to(device)
    return Batch(images, labels, np.array(test.ids[chosen]), np.array(test.groups[chosen]), examples)
