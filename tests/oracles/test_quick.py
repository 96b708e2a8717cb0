"""The cheap copy of a network that attacks search on: what it computes, and where the network itself is asked."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pixelprune import runtime
from pixelprune.attacks.balls import LinfBall
from pixelprune.attacks.fgsm import FGSM
from pixelprune.attacks.losses import margin
from pixelprune.attacks.minimal import smallest_eps
from pixelprune.attacks.narrowing import Budget, Counted
from pixelprune.attacks.twin import Twin, exactly, settled
from pixelprune.draws import Draws
from pixelprune.models.folded import folded
from pixelprune.models.network import NetworkOptions
from pixelprune.models.quick import quick
from pixelprune.models.residual import Residual
from pixelprune.models.resnet18 import ResNet18

NETWORKS: list[NetworkOptions] = [Residual(widths=(8, 16), stride=1), ResNet18()]


def used(options: NetworkOptions) -> nn.Module:
    """In eval mode, with statistics and weights that a training could have left in its normalizations."""
    rng = torch.Generator().manual_seed(0)
    network = options.build(5, rng)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_var, module.weight.data):
                assert values is not None
                values.copy_(0.5 + torch.rand(values.shape, generator=rng))
            for values in (module.running_mean, module.bias.data):
                assert values is not None
                values.copy_(torch.randn(values.shape, generator=rng))
    return network.eval()


def pictures(count: int = 4) -> Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("options", NETWORKS, ids=lambda options: options.name)
def test_folding_leaves_no_normalization_and_the_same_function(options: NetworkOptions) -> None:
    network = used(options)
    before = copy.deepcopy(network.state_dict())
    with torch.no_grad():
        twin, wanted = folded(network), network(pictures())
        assert (twin(pictures()) - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    called = {node.target for node in twin.graph.nodes}  # type: ignore[union-attr]
    assert not any(isinstance(module, nn.BatchNorm2d) for name, module in twin.named_modules() if name in called)
    assert not any(weight.requires_grad for weight in twin.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


class Shared(nn.Module):
    """One convolution in front of two normalizations: to fold one of them would change the other."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)
        self.one, self.other = (nn.BatchNorm2d(4) for _ in range(2))

    def forward(self, images: Tensor) -> Tensor:
        features = self.layer(images)
        return self.one(features).mean((2, 3)) + self.other(features).amax((2, 3))


class Branching(Shared):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) if images.sum() > 0 else images[:, :, 0, 0]


@pytest.mark.parametrize("kind", [Shared, Branching])
def test_what_cannot_be_folded_stays_as_it_is(kind: type[nn.Module]) -> None:
    network = kind().eval()
    network.one.running_mean += 1
    assert torch.equal(folded(network)(pictures()), network(pictures()))


def test_a_quick_network_is_close_and_has_the_gradient() -> None:
    network = used(NETWORKS[0])
    fast, images = quick(network), pictures(16).requires_grad_()
    (wanted,) = torch.autograd.grad(network(images)[:, 0].sum(), images)
    (found,) = torch.autograd.grad(fast(images)[:, 0].float().sum(), images)
    assert found.dtype == torch.float32
    assert torch.cosine_similarity(wanted.flatten(1), found.flatten(1)).min() > 0.95
    precise = not runtime.computes_bfloat16(torch.device("cpu"))
    with torch.no_grad():
        error = (fast(images).float() - network(images)).abs().amax(1) / network(images).abs().amax(1)
    assert error.max() < (1e-5 if precise else 0.02)


class Table:
    """Logits by image, whatever the pixels."""

    def __init__(self, logits: list[list[float]] | Tensor) -> None:
        self.logits = torch.as_tensor(logits)

    def __call__(self, images: Tensor) -> Tensor:
        return self.logits + 0 * images.sum((1, 2, 3))[:, None]

    def narrow(self, index: Tensor) -> "Table":
        return Table(self.logits[index])


def test_the_model_itself_decides_where_the_copy_could_err() -> None:
    true = [[1.0, 1.1], [0.0, 1.0], [5.0, 4.9], [7.0, 0.0]]
    copied = [[1.1, 1.0], [0.2, 1.0], [5.0, 4.9], [6.0, 0.0]]
    spent, quickly = Budget(4), Budget(4)
    twin = Twin(Counted(Table(true), spent), Counted(Table(copied), quickly), 0.1)
    logits = twin(torch.zeros(4, 3, 2, 2))
    torch.testing.assert_close(logits, torch.tensor([true[0], copied[1], true[2], copied[3]]))
    assert logits.argmax(1).tolist() == torch.tensor(true).argmax(1).tolist()
    assert spent.forward.tolist() == [1, 0, 1, 0] and quickly.forward.tolist() == [1] * 4
    part = twin.narrow(torch.tensor([3, 0]))(torch.zeros(2, 3, 2, 2))
    torch.testing.assert_close(part, torch.tensor([copied[3], true[0]]))


def test_the_gradient_is_that_of_the_copy_also_where_the_model_decides() -> None:
    weight = torch.randn(2, 12, generator=torch.Generator().manual_seed(0))
    images = pictures(3)[:, :, :2, :2].requires_grad_()

    def copied(images: Tensor) -> Tensor:
        return images.flatten(1) @ weight.T

    twin = Twin(lambda images: 0 * copied(images) + torch.tensor([3.0, -3.0]), copied, error=100.0)
    logits = twin(images)
    torch.testing.assert_close(logits, torch.tensor([[3.0, -3.0]] * 3))
    (grad,) = torch.autograd.grad((logits[:, 0] - logits[:, 1]).sum(), images)
    torch.testing.assert_close(grad.flatten(1), (weight[0] - weight[1]).expand(3, -1))


def test_a_search_of_thousands_of_points_asks_the_model_itself() -> None:
    true, copied = Table([[0.0, -1.0]]), Table([[0.0, -0.5]])
    assert exactly(Twin(true, copied, 0.1)) is true
    assert exactly(true) is true


class Blind:
    """A copy that is sure of a wrong class, whatever the pixels."""

    def __call__(self, images: Tensor) -> Tensor:
        return torch.tensor([[5.0, -5.0]]) + 0 * images.sum((1, 2, 3))[:, None]


def leaning(images: Tensor) -> Tensor:
    """Class 1 while the mean is at least 0.449."""
    score = images.mean((1, 2, 3)) - 0.449
    return torch.stack([-score, score], 1)


def test_what_only_the_copy_gets_wrong_is_attacked_again_on_the_model() -> None:
    images, labels = torch.full((3, 3, 2, 2), 0.5), torch.ones(3, dtype=torch.int64)
    mask, draws = torch.ones(3, 1, 2, 2, dtype=torch.bool), Draws.of(np.arange(3), 0)
    twin, ball = Twin(leaning, Blind(), 0.02), LinfBall(eps=0.1)
    alone = FGSM()(twin, images, labels, ball=ball, mask=mask, draws=draws)
    assert torch.equal(alone, images)  # the copy errs from the start: nothing is searched
    found = settled(FGSM(), twin, images, labels, ball=ball, mask=mask, draws=draws)
    assert (margin(leaning(found), labels) > 0).all()
    eps, points = smallest_eps(
        FGSM(), twin, images, labels, ball=ball, mask=mask, draws=draws, resolution=0.1 / 16
    )  # fmt: skip
    torch.testing.assert_close(eps, torch.full((3,), 0.05625))  # the first of the grid beyond 0.051
    assert (margin(leaning(points), labels) > 0).all()
