"""Where an attacker may write, and on which model: the accesses that the decomposition compares.

full      everywhere, on the full model
budget    on the image's own mask moved by a random circular shift, on the full model: equal area, equal shape
location  on the mask's pixels, on the full model
kept      on the mask's pixels, on the pruned model, the mask frozen as the clean image gave it
adaptive  everywhere, on the pruned model, the mask computed anew from what is written: harness.adaptive
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pixelprune.attacks.mean import Mean
from pixelprune.attacks.narrowing import Model
from pixelprune.fills.fill import FillOptions
from pixelprune.maps.shift import circular_shift
from pixelprune.models.quick import quick
from pixelprune.pruning import FrozenModel

SHIFT_SEED = 1
"""Another seed than that of the `shifted` map: its masks are not the ones that the budget access writes on."""


@dataclass(frozen=True)
class Access:
    name: str
    model: Model
    """For these N images; drops some of them through attacks.narrowing.narrow."""
    mask: Tensor
    """bool (N, 1, H, W), true where the attacker may write."""
    variant: str = ""
    """Which of several models with the same forward, where their gradients differ."""
    quick: Model | None = None
    """Nearly `model`, in less time: the one that attacks search on. Verdicts are those of `model`."""
    climbed: Mean | None = None
    """Where `model` answers by chance: what attacks are given in its place, with other and fewer draws."""
    group: int = 1
    """Images, one behind the other, that have a say in one another's classes: they are worked on together."""


def full(network: nn.Module, masks: Tensor) -> Access:
    """The attacker writes everywhere. masks: of these N images, for their shape alone."""
    return Access("full", network, torch.ones_like(masks), quick=quick(network))


def of_pruned(
    network: nn.Module, full_network: nn.Module, masks: Tensor, fill: FillOptions, ids: NDArray[np.int64]
) -> list[Access]:
    """budget, location and kept. masks: bool (N, 1, H, W) of these images."""
    other = quick(full_network)
    return [
        Access("budget", full_network, circular_shift(masks, ids, SHIFT_SEED), quick=other),
        Access("location", full_network, masks, quick=other),
        kept(network, masks, fill),
    ]


def kept(network: nn.Module, masks: Tensor, fill: FillOptions) -> Access:
    """The pruned model, its masks frozen."""
    return Access("kept", FrozenModel(network, masks, fill), masks, quick=FrozenModel(quick(network), masks, fill))
