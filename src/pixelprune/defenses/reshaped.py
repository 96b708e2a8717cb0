"""A network whose layers take the sizes of stored weights: what is left of it after filters were removed."""

import copy

from torch import Tensor, nn


def reshaped(network: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """A copy with these weights, in eval mode and frozen; each layer becomes as large as its own of them.

    weights: a state dict of every layer. Raises RuntimeError, as load_state_dict does, where a name is missing or new.
    """
    twin = copy.deepcopy(network)
    values = {**dict(twin.named_parameters()), **dict(twin.named_buffers())}
    for name in values.keys() & weights.keys():
        if values[name].shape != weights[name].shape:
            values[name].data = values[name].new_empty(weights[name].shape)
    for module in twin.modules():
        if isinstance(module, nn.Conv2d):
            module.out_channels, module.in_channels = module.weight.shape[0], module.weight.shape[1] * module.groups
        elif isinstance(module, nn.Linear):
            module.out_features, module.in_features = module.weight.shape
        elif isinstance(module, nn.BatchNorm2d) and module.weight is not None:
            module.num_features = len(module.weight)
    twin.load_state_dict(weights)
    return twin.eval().requires_grad_(False)
