"""Parameter randomisation: whether a map answers the network at all, or would look the same for any other.

From the top down, layers get the random weights that they would have started from; what is left of the map is compared
with the first one. A map that stays, such as an edge detector's, does not explain the network. What is explained is the
class that each network predicts itself.

Source: Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, section 3.1 (cascading randomization),
arXiv:1810.03292.
"""

import copy

import torch
from torch import nn

from pixelprune.models.network import initialize


def randomised(network: nn.Module, share: float, generator: torch.Generator) -> tuple[nn.Module, int]:
    """A copy of which this share of the layers, from the top, has new weights; and how many layers these are.

    Layers are convolutions and linear ones; at least one is drawn anew. Normalization keeps what it learned.
    """
    twin = copy.deepcopy(network).cpu()  # the generator draws there, on every machine alike
    layers = [module for module in twin.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    count = max(round(share * len(layers)), 1)
    for layer in layers[-count:]:
        initialize(layer, generator)
    device = next(network.parameters()).device
    return twin.to(device).eval().requires_grad_(False), count
