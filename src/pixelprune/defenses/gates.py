"""What a loss would change by if a filter were removed: estimated at gates beside the filters, or tried one by one.

A gate is a factor of 1 on a filter's channel; at 0 the filter is removed. It stands where the channel is read: behind
BatchNorm and ReLU, which is the same as between the two, since a ReLU passes on what is not negative.
Source: Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019, section 3, arXiv:1906.10771.
Their second order multiplies a row of the Hessian by all weights. Ours takes the diagonal, since one filter goes at a
time, in Gauss-Newton form: exact where the logits are piecewise linear in the gate, as they are in a ReLU network for
filters that are read once; for those that a shortcut carries on it leaves out how the logits themselves bend.
Filters that can only be removed together share a gate.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelprune.defenses.filters import End, Group


@contextmanager
def gated(network: nn.Module, groups: list[Group], gates: list[Tensor]) -> Iterator[None]:
    """Inside, the network multiplies the channels of each group's filters by its gates.

    gates: float (C,) of each group, or (N, C) for a pass of N images that have gates of their own.
    """
    with ExitStack() as hooks:
        for group, gate in zip(groups, gates):
            for end in group.readers:
                handle = network.get_submodule(end.layer).register_forward_pre_hook(_Gate(end, gate))
                hooks.callback(handle.remove)
        yield


class _Gate:
    def __init__(self, end: End, gate: Tensor) -> None:
        self.end = end
        self.gate = gate

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        (read,) = inputs
        factors = self.gate.new_ones(*self.gate.shape[:-1], read.shape[1])
        own = self.gate.index_select(-1, self.end.filters.to(self.gate.device))
        factors = factors.index_copy(-1, self.end.channels.to(self.gate.device), own)
        return read * (factors if read.dim() == 2 else factors[..., None, None])


def importance(
    network: nn.Module, groups: list[Group], images: Tensor, labels: Tensor, *, order: Literal[1, 2], batch: int
) -> list[Tensor]:
    """(E - E without the filter)^2 by Taylor's formula, float (C,) of each group. E: mean cross-entropy of a batch.

    The mean over batches, weighted by their images. images: float (N, 3, H, W) in [0, 1]. network: in eval mode.
    Passes: one forward and one backward of each image; of order 2, one more backward for each class.
    """
    parts = zip(images.split(batch), labels.split(batch))
    return _mean_square([(len(part), _expected(network, groups, part, own, order)) for part, own in parts])


def oracle(network: nn.Module, groups: list[Group], images: Tensor, labels: Tensor, *, batch: int) -> list[Tensor]:
    """What `importance` estimates, by leaving out each filter in turn: a forward pass of each image for each filter."""
    parts = zip(images.split(batch), labels.split(batch))
    return _mean_square([(len(part), _tried(network, groups, part, own)) for part, own in parts])


class Agreement(NamedTuple):
    pearson: float
    spearman: float


def agreement(scores: list[Tensor], truth: list[Tensor]) -> Agreement:
    """Correlation over the filters of all groups: of the values and of their ranks. Nan where either is constant."""
    from scipy import stats  # takes a second to import

    one, other = (torch.cat(parts).double().cpu().numpy() for parts in (scores, truth))
    return Agreement(float(stats.pearsonr(one, other).statistic), float(stats.spearmanr(one, other).statistic))


def _expected(
    network: nn.Module, groups: list[Group], images: Tensor, labels: Tensor, order: Literal[1, 2]
) -> list[Tensor]:
    """E - E without the filter: slope - curvature / 2."""
    gates = [images.new_ones(len(images), group.size).requires_grad_() for group in groups]
    with torch.enable_grad(), gated(network, groups, gates):
        log = torch.log_softmax(network(images), 1)
    loss = functional.nll_loss(log, labels, reduction="sum")
    changes = [own.mean(0) for own in torch.autograd.grad(loss, gates, retain_graph=True)]
    if order == 1:
        return changes
    # Gauss-Newton with softmax: the mean over classes k, by their probability, of the square of the slope of log p_k.
    for column in log.T:
        slopes = torch.autograd.grad(column.sum(), gates, retain_graph=True)
        weight = column.detach().exp()[:, None]
        changes = [change - (weight * slope.square()).mean(0) / 2 for change, slope in zip(changes, slopes)]
    return changes


@torch.no_grad()
def _tried(network: nn.Module, groups: list[Group], images: Tensor, labels: Tensor) -> list[Tensor]:
    whole = functional.cross_entropy(network(images), labels)
    changes = []
    for group in groups:
        own = torch.empty_like(whole).expand(group.size).clone()
        for place, gate in enumerate(1 - torch.eye(group.size, dtype=images.dtype, device=images.device)):
            with gated(network, [group], [gate]):
                own[place] = whole - functional.cross_entropy(network(images), labels)
        changes.append(own)
    return changes


def _mean_square(batches: list[tuple[int, list[Tensor]]]) -> list[Tensor]:
    total = sum(count for count, _ in batches)
    squares = ([count / total * change.square() for change in changes] for count, changes in batches)
    return [torch.stack(own).sum(0) for own in zip(*squares)]
