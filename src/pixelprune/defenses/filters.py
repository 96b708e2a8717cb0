"""Filters of convolutions that can only be removed together, how to choose among them, and their removal.

Source: Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023, arXiv:2301.12900. Its graph, which says
which channels of which layers go with a filter, and the removal itself are those of the package Torch-Pruning.
"""

import copy
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pixelprune.errors import TrainingError
from pixelprune.models.network import multiply_adds


@dataclass(frozen=True)
class End:
    """A layer that writes or reads a group's filters, by its name in the network."""

    layer: str
    channels: Tensor
    """int64 (P,), of its outputs or of its inputs."""
    filters: Tensor
    """int64 (P,), which filter of the group each of these channels carries."""


@dataclass(frozen=True)
class Group:
    """Filters 0 to size - 1 of one convolution, and all channels that go with each.

    Convolutions whose outputs are added to one another, as on the two sides of a shortcut, are in one group.
    """

    root: str
    size: int
    writers: tuple[End, ...]
    """Convolutions and linear layers with the filters among their outputs; the root is one of them."""
    readers: tuple[End, ...]
    """Convolutions and linear layers with the filters among their inputs."""


def coupled(network: nn.Module, height: int, width: int) -> list[Group]:
    """Every group of the network whose filters can be removed, for images (N, 3, H, W).

    Left whole: what the network answers with, and what runs through grouped convolutions or through layers with
    weights other than Conv2d, BatchNorm2d and Linear.
    """
    graph = _graph(_learnable(network), height, width)
    names = {module: name for name, module in graph.model.named_modules()}
    found = (_group(items, graph, names) for items in graph.get_all_groups(root_module_types=[nn.Conv2d]))
    order = list(names.values())
    return sorted((group for group in found if group is not None), key=lambda group: order.index(group.root))


def staying(
    network: nn.Module, groups: list[Group], scores: list[Tensor], height: int, width: int, budget: float
) -> list[Tensor]:
    """Which filters of each group stay, bool (C,): as many as at most `budget` multiply-adds allow.

    scores: float (C,) of each group. The lowest of all groups go first; the highest of a group always stays.
    Raises TrainingError where the budget is out of reach.
    """
    order = torch.cat([score.cpu() for score in scores]).argsort(stable=True)

    def without(lowest: int) -> list[Tensor]:
        stay = torch.ones(len(order), dtype=torch.bool)
        stay[order[:lowest]] = False
        parts = list(stay.split([group.size for group in groups]))
        for part, score in zip(parts, scores):
            part[int(score.argmax())] = True
        return parts

    def enough(lowest: int) -> bool:
        return multiply_adds(removed(network, groups, without(lowest), height, width), height, width) <= budget

    lowest = bisect_left(range(len(order) + 1), True, key=enough)
    if lowest > len(order):
        raise TrainingError(
            f"more than {budget:,.0f} multiply-adds are left where each group keeps one filter: give less."
        )
    return without(lowest)


def removed(network: nn.Module, groups: list[Group], stay: list[Tensor], height: int, width: int) -> nn.Module:
    """A smaller copy, in eval mode, its weights to be learned. stay: bool (C,) for each group, true at one at least."""
    import torch_pruning

    graph = _graph(_learnable(network), height, width)
    for group, kept in zip(groups, stay):
        gone = (~kept).nonzero().flatten().tolist()
        if gone:
            root = graph.model.get_submodule(group.root)
            graph.get_pruning_group(root, torch_pruning.prune_conv_out_channels, gone).prune()
    small: nn.Module = graph.model
    return small


def left(network: nn.Module, groups: list[Group], stay: list[Tensor]) -> dict[str, Tensor]:
    """The outputs that stay of each layer that writes a group's filters: int64, ascending."""
    outputs: dict[str, Tensor] = {}
    for group, kept in zip(groups, stay):
        for end in group.writers:
            weight = network.get_submodule(end.layer).weight
            assert isinstance(weight, Tensor)
            own = torch.ones(len(weight), dtype=torch.bool)
            own[end.channels] = kept[end.filters]
            outputs[end.layer] = own.nonzero().flatten()
    return outputs


def _learnable(network: nn.Module) -> nn.Module:
    """Torch-Pruning follows gradients through the network."""
    return copy.deepcopy(network).eval().requires_grad_(True)


def _graph(network: nn.Module, height: int, width: int) -> Any:
    import torch_pruning

    weight = next(network.parameters())
    images = torch.zeros(1, 3, height, width, dtype=weight.dtype, device=weight.device)
    with torch.enable_grad():
        return torch_pruning.DependencyGraph().build_dependency(network, images)


def _group(items: Any, graph: Any, names: dict[nn.Module, str]) -> Group | None:
    """None where the filters cannot be removed."""
    import torch_pruning

    writers: list[End] = []
    readers: list[End] = []
    for item in items.items:
        layer = item.dep.target.module
        if item.dep.target.type == torch_pruning.ops.OPTYPE.OUTPUT or not _known(layer):
            return None
        if isinstance(layer, nn.Conv2d | nn.Linear):
            end = End(names[layer], torch.tensor(item.idxs), torch.tensor(item.root_idxs))
            (readers if graph.is_in_channel_pruning_fn(item.dep.handler) else writers).append(end)
    root = items[0].dep.target.module
    return Group(names[root], root.out_channels, tuple(writers), tuple(readers)) if readers else None


def _known(layer: nn.Module | nn.Parameter) -> bool:
    if isinstance(layer, nn.Conv2d):
        return layer.groups == 1
    return isinstance(layer, nn.BatchNorm2d | nn.Linear) or not (
        isinstance(layer, nn.Parameter) or any(True for _ in layer.parameters())
    )
