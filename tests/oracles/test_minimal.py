"""The smallest eps, against linear models: |margin| over the dual norm of the open weights; brute force at a border."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.balls import Ball, L2Ball, LinfBall
from pixelprune.attacks.fgsm import FGSM
from pixelprune.attacks.losses import margin
from pixelprune.attacks.minimal import smallest_eps
from pixelprune.attacks.narrowing import Budget, Counted
from pixelprune.draws import Draws

N, C, H, W = 24, 3, 5, 6
BALLS: list[Ball] = [LinfBall(eps=8 / 255), L2Ball(eps=0.3)]
by_norm = pytest.mark.parametrize("ball", BALLS, ids=lambda ball: ball.norm)


class Linear:
    """Logits (0, weight . image + bias), a bias for each image."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight, self.bias = weight, bias

    def __call__(self, images: Tensor) -> Tensor:
        score = (images * self.weight).sum((1, 2, 3)) + self.bias
        return torch.stack([torch.zeros_like(score), score], 1)

    def narrow(self, index: Tensor) -> "Linear":
        return Linear(self.weight, self.bias[index])


def problem(ball: Ball) -> tuple[Linear, Tensor, Tensor, Tensor, Tensor]:
    """Images that fall at 0 to 1.3 of the radius: model, images, labels, mask, and where each falls."""
    rng = torch.Generator().manual_seed(0)
    weight, images = torch.randn(C, H, W, generator=rng), 0.4 + 0.2 * torch.rand(N, C, H, W, generator=rng)
    mask = torch.rand(N, 1, H, W, generator=rng) < torch.rand(N, 1, 1, 1, generator=rng)
    mask[:, :, 0, 0] = True
    falls = ball.eps * torch.linspace(-0.05, 1.3, N)
    dual = (weight * mask).flatten(1).norm(p=1 if ball.norm == "linf" else 2, dim=1)
    bias = falls * dual - (images * weight).sum((1, 2, 3))
    return Linear(weight, bias), images, torch.ones(N, dtype=torch.int64), mask, falls


@pytest.mark.parametrize("attack", [FGSM(), APGD(steps=20)], ids=lambda attack: attack.name)
@by_norm
def test_is_the_margin_over_the_dual_norm(ball: Ball, attack: FGSM) -> None:
    model, images, labels, mask, falls = problem(ball)
    step = ball.eps / 32
    eps, points = smallest_eps(
        attack, model, images, labels, ball=ball, mask=mask, draws=Draws.of(np.arange(N), 0), resolution=step * 1.01
    )
    stands, wrong = falls > ball.eps, falls < 0
    assert 0 < stands.sum() < N and wrong.any()
    assert torch.equal(eps.isinf(), stands)
    assert (eps[wrong] == 0).all()
    between = ~stands & ~wrong
    assert (eps[between] >= falls[between]).all()
    assert (eps[between] < falls[between] + step * 1.001).all()
    assert torch.equal(margin(model(points), labels) > 0, ~stands)
    assert (ball.length(points - images)[between] <= eps[between] + 1e-6).all()
    assert not (points - images)[~mask.expand_as(images)].any()


@by_norm
def test_the_curve_is_that_of_the_attack_at_each_radius(ball: Ball) -> None:
    model, images, labels, mask, _ = problem(ball)
    draws = Draws.of(np.arange(N), 0)
    eps, _ = smallest_eps(APGD(), model, images, labels, ball=ball, mask=mask, draws=draws, resolution=ball.eps / 8)
    for cell in range(1, 9):
        smaller = ball.scaled(cell / 8)
        found = APGD()(model, images, labels, ball=smaller, mask=mask, draws=draws)
        assert torch.equal(margin(model(found), labels) <= 0, eps > smaller.eps * 1.0001)


def test_at_the_borders_of_the_range_it_is_what_brute_force_finds() -> None:
    model, images, labels, mask, _ = problem(BALLS[0])
    ball = LinfBall(eps=0.5)
    images = ((images - 0.5) * 6 + 0.5).clamp(0, 1)
    grid = torch.linspace(0, ball.eps, 65)
    best = torch.stack([(images - eps * model.weight.sign() * mask).clamp(0, 1) for eps in grid])
    margins = torch.stack([margin(model(points), labels) for points in best])
    # Biases that put the fall of image i between two radii of the grid, some of them beyond it.
    rank = (torch.arange(N) * 67 // N).clamp(max=64)
    model.bias = model.bias + (margins.gather(0, rank[None]) + 1e-3)[0]
    margins = torch.stack([margin(model(points), labels) for points in best])
    expected = torch.where((margins > 0).any(0), grid[(margins > 0).int().argmax(0)], torch.inf)
    eps, _ = smallest_eps(
        FGSM(), model, images, labels, ball=ball, mask=mask, draws=Draws.of(np.arange(N), 0), resolution=ball.eps / 64
    )
    assert expected.isinf().any() and (expected < 0.2).any()
    torch.testing.assert_close(eps, expected)


def test_an_image_does_not_feel_the_others_and_stops_when_it_is_known() -> None:
    ball = BALLS[0]
    model, images, labels, mask, falls = problem(ball)
    budget = Budget(N)

    def run(index: Tensor) -> Tensor:
        return smallest_eps(
            FGSM(), Counted(model, budget).narrow(index), images[index], labels[index], ball=ball, mask=mask[index],
            draws=Draws.of(index.numpy(), 0), resolution=ball.eps / 16,
        )[0]  # fmt: skip

    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    together = run(torch.arange(N))
    low = (falls > 0) & (falls <= ball.eps / 16)
    assert low.any()
    assert (budget.backward[low] == 1).all(), "points of larger radii were not tried again"
    assert torch.equal(run(order), together[order])
    assert torch.equal(run(order[:5]), together[order[:5]])
    assert (budget.forward[falls < 0] <= 3).all()
    assert budget.backward.max() <= 3 * 5  # the largest radius, then four halvings: one gradient each
