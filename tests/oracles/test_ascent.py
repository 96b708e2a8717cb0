"""APGD's run against the published algorithm, written down again for one image; and the ways to take a gradient."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.balls import LinfBall
from pixelprune.attacks.estimators import PLAIN, MeanOfDraws
from pixelprune.attacks.losses import cross_entropy, margin
from pixelprune.draws import Draws

N = 6


class Wavy:
    """Three logits with hills of several widths, in float64: short steps and long ones find different tops."""

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(0)
        self.waves = torch.randn(3, 4, 75, generator=rng, dtype=torch.float64)

    def __call__(self, images: Tensor) -> Tensor:
        phase = torch.einsum("kwd,nd->nkw", self.waves, images.double().flatten(1))
        return (phase.sin() + 0.3 * (4 * phase).cos()).sum(2).float() + torch.tensor([0.0, 0, 30])


def published(model: Wavy, image: Tensor, start: Tensor, mask: Tensor, eps: float, steps: int) -> Tensor:
    """Algorithm 1 of arXiv:2003.01690 for linf and one image of class 2, on the pixels of the mask; the best point."""

    def project(point: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(point, image - eps), image + eps).clamp(0, 1)

    def look(point: Tensor) -> tuple[float, Tensor]:
        point = point.detach().requires_grad_()
        value = margin(model(point), torch.tensor([2])).sum()
        return value.item(), torch.autograd.grad(value, point)[0] * mask

    p = [0.0, 0.22]
    while p[-1] < 1:
        p.append(p[-1] + max(p[-1] - p[-2] - 0.03, 0.06))
    checks = [int(np.ceil(share * steps - 1e-9)) for share in p[1:] if share <= 1]
    x, (value, grad) = start, look(start)
    old, best, best_x, best_grad, eta, rises, reduced, at_check, last = x, value, x, grad, 2 * eps, 0, True, -np.inf, 0
    for k in range(1, steps + 1):
        z = project(x + eta * grad.sign())
        new = z if k == 1 else project(x + 0.75 * (z - x) + 0.25 * (x - old))
        old, before = x, value
        x, (value, grad) = new, look(new)
        rises += value > before
        if value > best:
            best, best_x, best_grad = value, x, grad
        if k in checks:
            if rises <= 0.75 * (k - last) or (not reduced and at_check >= best):
                eta, x, grad, reduced = eta / 2, best_x, best_grad, True
            else:
                reduced = False
            rises, at_check, last = 0, best, k
    return best_x


@pytest.mark.parametrize(
    ("seed", "eps", "rows"), [(1, 0.1, [0, 1, 2, 3, 4, 5]), (2, 0.03, [163, 173])], ids=["usual", "second condition"]
)
def test_apgd_is_the_published_algorithm(seed: int, eps: float, rows: list[int]) -> None:
    """100 steps, whose checkpoints no rounding moves. Every image stands, so every path is whole.

    The second condition of section 3.1 (nothing gained though most steps rose) decides seldom: two images for which it
    does.
    """
    rng, ids = torch.Generator().manual_seed(seed), torch.tensor(rows)
    images, mask = torch.rand(200, 3, 5, 5, generator=rng), torch.rand(200, 1, 5, 5, generator=rng) < 0.8
    images, mask = images[ids], mask[ids]
    model, ball, labels = Wavy(), LinfBall(eps=eps), torch.full((len(ids),), 2)
    draws = Draws.of(ids.numpy(), 0)
    found = APGD(steps=100, loss="margin")(model, images, labels, ball=ball, mask=mask, draws=draws)
    starts = (images + ball.sample(mask, 3, draws.branch(0))).clamp(0, 1)
    assert (margin(model(found), labels) < 0).all()
    for row in range(len(ids)):
        one = slice(row, row + 1)
        expected = published(model, images[one], starts[one], mask[one], eps, 100)
        torch.testing.assert_close(found[one], expected, atol=1e-6, rtol=0)


def test_apgd_starts_again_from_another_point() -> None:
    rng = torch.Generator().manual_seed(1)
    images, mask = torch.rand(N, 3, 5, 5, generator=rng), torch.ones(N, 1, 5, 5, dtype=torch.bool)
    model, ball, labels, draws = Wavy(), LinfBall(eps=0.1), torch.full((N,), 2), Draws.of(np.arange(N), 0)
    reached = [
        margin(model(APGD(steps=10, restarts=k)(model, images, labels, ball=ball, mask=mask, draws=draws)), labels)
        for k in (1, 2, 6)
    ]
    assert (reached[1] >= reached[0]).all() and (reached[2] >= reached[1]).all()
    assert (reached[2] > reached[0] + 0.01).sum() >= N // 2


def linear(images: Tensor) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(images[0].numel(), 4)).eval().requires_grad_(False)


def test_the_mean_of_draws_is_the_mean() -> None:
    images, labels, draws = torch.rand(5, 3, 4, 4), torch.arange(5) % 4, Draws.of(np.arange(5), 0)
    network, calls = linear(images), iter(range(1, 9))

    def model(images: Tensor) -> Tensor:
        return network(images * next(calls))

    grad, logits = MeanOfDraws(PLAIN, 4).gradient(model, images, labels, margin, draws)
    alone = [PLAIN.gradient(lambda x, k=k: network(x * k), images, labels, margin, draws) for k in (1, 2, 3, 4)]
    torch.testing.assert_close(grad, torch.stack([one[0] for one in alone]).mean(0))
    torch.testing.assert_close(logits, torch.stack([one[1] for one in alone]).mean(0))


@pytest.mark.parametrize("estimator", [PLAIN, MeanOfDraws(PLAIN, 3)], ids=["plain", "mean"])
def test_a_gradient_is_that_of_each_image_alone(estimator: MeanOfDraws) -> None:
    images, labels, draws = torch.rand(5, 3, 4, 4), torch.arange(5) % 4, Draws.of(np.arange(5), 0)
    network = linear(images)
    grad, _ = estimator.gradient(network, images, labels, cross_entropy, draws)
    for row in range(5):
        one = slice(row, row + 1)
        alone, _ = estimator.gradient(network, images[one], labels[one], cross_entropy, draws)
        torch.testing.assert_close(grad[one], alone, atol=1e-7, rtol=1e-5)


def test_a_loss_that_is_no_number_once_does_not_end_the_climb() -> None:
    """The loss of the start overflows; the top lies inside the ball, so that only ever shorter steps come near it."""
    images, labels = torch.full((1, 1, 2, 2), 0.5), torch.ones(1, dtype=torch.int64)
    mask, asked = torch.ones(1, 1, 2, 2, dtype=torch.bool), []

    def model(points: Tensor) -> Tensor:
        score = (points - 0.47).square().sum((1, 2, 3)) + 1
        asked.append(len(asked))
        return torch.stack([torch.zeros_like(score), score * (torch.nan if asked[-1] == 1 else 1)], 1)

    ball, draws = LinfBall(eps=0.1), Draws.of(np.arange(1), 0)
    found = APGD(steps=100, loss="margin")(model, images, labels, ball=ball, mask=mask, draws=draws)
    torch.testing.assert_close(found, torch.full_like(images, 0.47), atol=5e-3, rtol=0)
