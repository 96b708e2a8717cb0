"""A copy of a network whose kinks are rounded off, so that the gradient of its gradient says something.

A network of ReLUs is piecewise linear: where a map is its gradient, the map's own gradient is zero almost everywhere.
Source: Dombrowski et al., "Explanations can be manipulated and geometry is to blame", NeurIPS 2019, section 5,
arXiv:1906.07983 (softplus in place of ReLU).
"""

import copy

from torch import nn


def softened(network: nn.Module, sharpness: float = 20.0) -> nn.Module:
    """A deep copy with softplus(x) = log(1 + exp(sharpness x)) / sharpness in place of every ReLU module."""
    twin = copy.deepcopy(network)
    for module in list(twin.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Softplus(beta=sharpness))
    return twin
