"""A defended network as attacks and verdicts see it: against the plain network, by hand, and in closed form."""

from math import log
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from oracles.shared_defenses import CLASSES, H, Toy, W, as_it_is, batch, centered, network, noisy, repaired
from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.balls import LinfBall
from pixelprune.attacks.losses import margin
from pixelprune.attacks.mean import Mean
from pixelprune.attacks.narrowing import narrow
from pixelprune.attacks.stochastic.demanding import Demanding
from pixelprune.attacks.stochastic.firm import Firm, clearly
from pixelprune.attacks.stochastic.patient import Patient
from pixelprune.draws import Draws
from pixelprune.harness.behind import Behind, Verdict
from pixelprune.harness.cost import multiply_adds
from pixelprune.harness.ladder import Batch

N = 8
EVERYWHERE = torch.ones(N, 1, H, W, dtype=torch.bool)


def behind(toy: Toy, net: Any = None, group: int = 3, of: Batch | None = None) -> Behind:
    return Behind(toy, net or network(), {}, of or batch(N), 0, group)


class Score(nn.Module):
    """Logits (0, w.x + b)."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        self.weight = torch.randn(3, H, W, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        self.bias = bias

    def forward(self, images: Tensor) -> Tensor:
        score = (images * self.weight.to(images.dtype)).sum((1, 2, 3)) + self.bias
        return torch.stack([torch.zeros_like(score), score], 1)


def test_a_defense_that_neither_draws_nor_searches_is_the_plain_model() -> None:
    images, labels = batch(N).images, batch(N).labels
    model = behind(Toy(as_it_is)).model(20, "any")
    assert model.draws == 1
    index = torch.tensor([5, 0, 5])
    assert torch.equal(narrow(model, index)(images[index]), network()(images[index]))
    options: dict[str, Any] = {"ball": LinfBall(eps=0.03), "mask": EVERYWHERE, "draws": Draws.of(np.arange(N), 1)}
    attack = APGD(steps=8, loss="dlr")
    assert torch.equal(attack(model, images, labels, **options), attack(network(), images, labels, **options))
    torch.testing.assert_close(behind(Toy(as_it_is)).judge(images, 9)[0], torch.log_softmax(network()(images), 1))


def test_the_mean_gradient_behind_added_noise_is_that_of_the_smoothed_model() -> None:
    """For a linear score s + b z with normal z, log of the mean of sigmoids has a gradient by quadrature."""
    size, draws = 0.05, 700
    images = batch(N).images.double()
    net = Score(0.5 - float((images[0] * Score(0).weight).sum()))
    some = images[:2].clone().requires_grad_()
    model = narrow(behind(Toy(noisy(size), randomised=True), net).model(draws, "word"), torch.arange(2))
    assert isinstance(model, Mean)
    (grad,) = torch.autograd.grad(model(some)[:, 1].sum(), some)

    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    scores = net(images[:2])[:, 1].numpy()[:, None] + size * float(net.weight.norm()) * nodes
    right = 1 / (1 + np.exp(-scores))
    slope = (right * (1 - right) * weights).sum(1) / (right * weights).sum(1)
    found = (grad * net.weight).sum((1, 2, 3)) / net.weight.square().sum()
    np.testing.assert_allclose(found.numpy(), slope, rtol=0.04)
    for one, scale in zip(grad, found):
        torch.testing.assert_close(one, scale * net.weight)


def by_hand(images: Tensor, size: int) -> Tensor:
    return torch.cat(
        [centered(network(), "identity")(part, Draws.of(np.arange(len(part)))) for part in images.split(size)]
    )


def test_an_image_is_classified_in_its_group_whoever_else_is_attacked() -> None:
    coupled = behind(Toy(centered, batch_coupled=True))
    clean = coupled.batch.images
    points = (clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    model = coupled.model(1, "any")
    torch.testing.assert_close(model(points), by_hand(points, 3))
    for index in (torch.tensor([1, 4, 7]), torch.tensor([6]), torch.tensor([2, 0, 1])):
        whole = clean.clone()
        whole[index] = points[index]
        torch.testing.assert_close(narrow(model, index)(points[index]), by_hand(whole, 3)[index])
        of_those = narrow(narrow(model, torch.arange(N)), index)(points[index])
        torch.testing.assert_close(of_those, by_hand(whole, 3)[index])
    torch.testing.assert_close(coupled.judge(points, 1)[0], torch.log_softmax(by_hand(points, 3), 1))
    # The first five: the last one of the second group stands in as it is.
    whole = torch.cat([points[:5], clean[5:]])
    torch.testing.assert_close(coupled.judge(points[:5], 1)[0], torch.log_softmax(by_hand(whole, 3)[:5], 1))


def test_an_image_that_is_asked_about_twice_is_classified_in_two_copies_of_its_group() -> None:
    coupled = behind(Toy(centered, batch_coupled=True))
    clean, index = coupled.batch.images, torch.tensor([1, 4, 1, 2])
    points = (clean[index] + 0.1).clamp(0, 1)
    first, second = clean.clone(), clean.clone()
    first[[1, 4, 2]], second[1] = points[[0, 1, 3]], points[2]
    wanted = torch.stack([by_hand(first, 3)[1], by_hand(first, 3)[4], by_hand(second, 3)[1], by_hand(first, 3)[2]])
    points.requires_grad_()
    found = narrow(coupled.model(1, "any"), index)(points)
    torch.testing.assert_close(found, wanted)
    (grad,) = torch.autograd.grad(found[2, 0], points)
    assert [bool(one.any()) for one in grad] == [False, False, True, False]


def test_groups_that_draw_are_the_same_at_the_same_draws_and_others_at_others() -> None:
    def answer(net: nn.Module, gradient: str) -> Any:
        return lambda images, draws: net(images + 0.1 * draws.normal(*images.shape[1:]).mean(0, keepdim=True))

    coupled = behind(Toy(answer, randomised=True, batch_coupled=True))
    drawn, index, streams = coupled.drawn(), torch.tensor([1, 4]), coupled.streams("a")
    images = coupled.batch.images[index]
    one, again = (narrow(drawn, index)(images, streams.narrow(index)) for _ in range(2))
    assert torch.equal(one, again)
    assert not torch.equal(one, narrow(drawn, index)(images, streams.narrow(index).branch(1)))
    # Whoever stands in draws anew as well: here an image gets the noise of the one before it.
    before = Toy(lambda net, gradient: lambda images, draws: net(images + 0.1 * draws.normal(3, H, W).roll(1, 0)),
                 randomised=True, batch_coupled=True)  # fmt: skip
    alone, streams = narrow(behind(before).drawn(), index[:1]), streams.narrow(index[:1])
    assert not torch.equal(alone(images[:1], streams.branch(0)), alone(images[:1], streams.branch(1)))
    model = narrow(coupled.model(4, "word"), index)
    start = images.clone().requires_grad_()
    (grad,) = torch.autograd.grad(model(start)[:, 0].sum(), start)
    assert grad.abs().sum() > 0


def test_a_verdict_by_mean_and_by_majority() -> None:
    """Two draws a little wrong, one very right: the mean is right, the majority is not."""
    shares = torch.tensor([[[0.55, 0.45]], [[0.55, 0.45]], [[0.01, 0.99]]])
    verdict = Verdict(shares.log(), torch.tensor([1]))
    assert verdict.by_mean.tolist() == [True] and verdict.by_majority.tolist() == [False]
    assert verdict.share.item() == pytest.approx(1 / 3)
    assert verdict.margins.item() == pytest.approx(log((0.55 + 0.55 + 0.01) / (0.45 + 0.45 + 0.99)))


def test_verdicts_are_of_the_same_draws_and_searches_of_others() -> None:
    noise = behind(Toy(noisy(0.2), randomised=True))
    images = noise.batch.images
    assert torch.equal(noise.judge(images, 5), noise.judge(images, 5))
    torch.testing.assert_close(noise.judge(images[:3], 5), noise.judge(images, 5)[:, :3])
    assert not torch.equal(noise.model(5, "verdict").each(images), noise.model(5, "judge").each(images))
    assert noise.judge(images, 5).shape == (5, N, CLASSES)


@pytest.mark.parametrize("size, options", [(0.5, {"steps": 40, "relative_step": 0.1}), (0.05, {"steps": 25})])
def test_many_single_draws_lead_to_the_worst_corner_of_a_linear_model(size: float, options: dict[str, Any]) -> None:
    """Every image whose mean errs at the corner falls, though a draw may be mostly noise; no other one does.

    Where the steps are few they are long enough to cross the ball.
    """
    eps, images = 0.02, batch(N).images
    totals = (images * Score(0).weight.float()).sum((1, 2, 3))
    reach = eps * float(Score(0).weight.abs().sum())
    net = Score(float(0.5 * reach - totals.median()))
    labels = torch.ones(N, dtype=torch.int64)
    noise = behind(Toy(noisy(size), randomised=True), net)
    judge = noise.model(400, "judge")
    points = Patient(noise.model(75, "judge"), **options)(
        noise.model(1, "plain"), images, labels, ball=LinfBall(eps=eps), mask=EVERYWHERE,
        draws=Draws.of(np.arange(N), 1),
    )  # fmt: skip
    assert ((points - images).abs() <= eps + 1e-6).all()
    corner = (images - eps * net.weight.float().sign()).clamp(0, 1)
    at_corner, at_points, clean = (margin(judge(some), labels) for some in (corner, points, images))
    assert (at_points <= at_corner + 0.3).all()
    sure = at_corner.abs() > 0.3
    assert ((at_points > 0) == (at_corner > 0))[sure].all()
    assert ((at_corner > 0.3) & (clean < 0)).any()


def test_an_attack_that_wants_a_clear_error_goes_on_past_the_boundary() -> None:
    """On a linear model the worst margin is known: it stops beyond 0.5 where it can, and else returns the worst."""
    eps, images, labels = 0.02, batch(N).images, torch.ones(N, dtype=torch.int64)
    totals = (images * Score(0).weight.float()).sum((1, 2, 3))
    net = Score(float(eps * Score(0).weight.abs().sum() - totals.median()))
    options: dict[str, Any] = {"ball": LinfBall(eps=eps), "mask": EVERYWHERE, "draws": Draws.of(np.arange(N), 1)}
    hasty, firm = (
        margin(net(attack(net, images, labels, **options)), labels)
        for attack in (APGD(steps=10), Demanding(APGD(steps=10), Firm, 0.5))
    )
    worst = margin(net(images - eps * net.weight.float().sign()), labels)
    assert ((firm > 0.5) == (worst > 0.5)).all() and (worst > 0.5).any() and (worst < 0).any()
    torch.testing.assert_close(firm[worst < 0.5], worst[worst < 0.5], atol=1e-3, rtol=0)
    assert ((hasty > 0) == (firm > 0)).all() and (hasty <= firm + 1e-5).all()
    model = Firm(net, labels, 0.5)
    part = narrow(model, torch.tensor([3, 1]))(images[[3, 1]])
    torch.testing.assert_close(part, net(images)[[3, 1]] + torch.tensor([0.0, 0.5]))


def test_cost_counts_the_gradient_that_a_defense_computes() -> None:
    images, draws = batch(2).images, Draws.of(np.arange(2))
    plain = multiply_adds(lambda: network()(images))
    assert plain == 2 * (8 * 16 * 27 + 8 * 16 * CLASSES)
    # Once forward, once back to the image, once forward from the changed image.
    assert multiply_adds(lambda: repaired(0.02)(network(), "identity")(images, draws)) == 3 * plain


def test_a_mean_of_four_times_the_draws_has_to_err_by_half_as_much() -> None:
    assert (clearly(50), clearly(200), clearly(2)) == (0.5, 0.25, 2.5)
