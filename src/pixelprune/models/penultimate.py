"""What a network's last linear layer is given: the features that it reads its classes from."""

from collections.abc import Callable

from torch import Tensor, nn


def last_linear(network: nn.Module) -> nn.Linear:
    """Raises ValueError where there is none."""
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ValueError("the network has no linear layer")
    return linear[-1]


def penultimate(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """The input of the last linear layer: images (N, C, H, W) -> (N, D). Raises ValueError where there is none."""
    last = last_linear(network)

    def features(images: Tensor) -> Tensor:
        caught: list[Tensor] = []
        hook = last.register_forward_pre_hook(lambda module, inputs: caught.append(inputs[0]))
        try:
            network(images)
        finally:
            hook.remove()
        return caught[-1].flatten(1)

    return features
