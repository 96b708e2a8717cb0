"""A network of the same design with other weights."""

import copy
from collections.abc import Mapping

from torch import Tensor, nn


def copied(network: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """A deep copy with these weights, as `state_dict` names them: on the same device, in eval mode, frozen."""
    twin = copy.deepcopy(network)
    twin.load_state_dict(weights)
    return twin.eval().requires_grad_(False)


def weights(network: nn.Module) -> dict[str, Tensor]:
    """All that tells it from another of its design, detached and by itself in memory."""
    return {name: value.detach().clone().contiguous() for name, value in network.state_dict().items()}
