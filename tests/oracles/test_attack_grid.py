"""Attacks against nonlinear models: a brute-force grid over two pixels, and another implementation of PGD."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchattacks
from torch import Tensor, nn

from pixelprune.attacks.balls import Ball, L2Ball, LinfBall
from pixelprune.attacks.losses import margin
from pixelprune.attacks.noise import Noise
from pixelprune.attacks.pgd import PGD
from pixelprune.draws import Draws

BALLS: list[Ball] = [LinfBall(eps=0.1), L2Ball(eps=0.1)]
by_norm = pytest.mark.parametrize("ball", BALLS, ids=lambda ball: ball.norm)
POINT = (0.45, 0.97)  # the second pixel is near the border of the range


def two_pixels(images: Tensor) -> Tensor:
    """A margin with several hills in the ball, all below zero, so that no image leaves."""
    first, second = images.flatten(1).unbind(1)
    height = torch.sin(40 * first + 3 * second) + torch.cos(31 * second - 9 * first * second) - 4 + 2 * first
    return torch.stack([height, torch.zeros_like(height)], 1)


def grid(ball: Ball) -> Tensor:
    """Every point of the ball and the range, 0.0005 apart: (M, 1, 1, 2)."""
    line = torch.linspace(-ball.eps, ball.eps, 401)
    delta = torch.cartesian_prod(line, line)
    if ball.norm == "l2":
        delta = delta[delta.norm(dim=1) <= ball.eps]
    points = torch.tensor(POINT) + delta
    return points[((points >= 0) & (points <= 1)).all(1)].view(-1, 1, 1, 2)


def attacked(attack: PGD | Noise, ball: Ball, seed: int, images: int = 20) -> Tensor:
    """The margins that the attack reaches from many random starts."""
    start = torch.tensor(POINT).expand(images, 1, 1, 2)
    labels, mask = torch.ones(images, dtype=torch.int64), torch.ones(images, 1, 1, 2, dtype=torch.bool)
    return margin(
        two_pixels(attack(two_pixels, start, labels, ball=ball, mask=mask, draws=Draws.of(np.arange(len(labels)), 0))),
        labels,
    )


@by_norm
def test_restarts_reach_what_a_grid_finds_and_not_more(ball: Ball) -> None:
    limit = two_pixels(grid(ball))[:, 0].max()
    assert limit < 0
    reached = attacked(PGD(steps=40, restarts=20, relative_step=0.1), ball, seed=0)
    assert (reached > limit - 0.01).all()
    assert (reached < limit + 0.003).all()  # half a grid cell at the steepest slope


@by_norm
def test_noise_comes_close_and_never_above(ball: Ball) -> None:
    limit = two_pixels(grid(ball))[:, 0].max()
    reached = attacked(Noise(draws=2000), ball, seed=0)
    assert (reached < limit + 0.003).all()
    assert (reached > limit - 0.1).all()


@by_norm
def test_more_restarts_never_help_the_image(ball: Ball) -> None:
    """The same generator gives the same first starts, so this holds image by image."""
    reached = [attacked(PGD(steps=10, restarts=count, relative_step=0.1), ball, seed=1) for count in (1, 2, 4, 8)]
    for fewer, more in zip(reached, reached[1:]):  # noqa: RUF007
        assert (more >= fewer).all()
    assert (reached[3] > reached[0] + 0.1).any(), "one start was enough: the hills do not test restarts"


@by_norm
def test_keeps_the_best_iterate_of_a_path(ball: Ball) -> None:
    """Steps of 1.5 eps jump back and forth over the hills: more of them must never lose what was found."""
    reached = [attacked(PGD(steps=steps, relative_step=1.5), ball, seed=2) for steps in (1, 3, 9, 27)]
    for fewer, more in zip(reached, reached[1:]):  # noqa: RUF007
        assert (more >= fewer).all()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 12, 3, stride=2), nn.ReLU(), nn.Conv2d(12, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4)
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images - 0.5)


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, Tensor, Tensor]:
    """Which quarter of the image is brighter? Learned in a second; 64 images that it gets right."""
    torch.manual_seed(0)
    labels = torch.randint(4, (600,))
    images = 0.3 + 0.4 * torch.rand(600, 3, 12, 12)
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = 6 * (label // 2), 6 * (label % 2)
        image[:, row : row + 6, column : column + 6] += 0.06
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for step in range(120):
        batch = torch.arange(step * 50, step * 50 + 50) % 500
        optimizer.zero_grad()
        F.cross_entropy(net(images[batch]), labels[batch]).backward()
        optimizer.step()
    net.eval()
    right = (net(images).argmax(1) == labels).nonzero().squeeze(1)[-64:]
    assert len(right) == 64
    return net, images[right], labels[right]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_agrees_with_torchattacks_on_a_trained_network(trained: tuple[nn.Module, Tensor, Tensor], norm: str) -> None:
    net, images, labels = trained
    """Both with three random starts; theirs keeps the end of a path, so ours may be ahead by a little."""
    mask = torch.ones(64, 1, 12, 12, dtype=torch.bool)
    accuracies = []
    for eps in (0.01, 0.02, 0.03) if norm == "linf" else (0.1, 0.2, 0.4):
        ball: Ball = LinfBall(eps=eps) if norm == "linf" else L2Ball(eps=eps)
        draws = Draws.of(np.arange(len(labels)), 0)
        ours = PGD(steps=40, restarts=3)(net, images, labels, ball=ball, mask=mask, draws=draws)
        kind = torchattacks.PGD if norm == "linf" else torchattacks.PGDL2
        attack = kind(net, eps=eps, alpha=eps / 16, steps=40)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            ends = [net(attack(images, labels)).argmax(1) == labels for _ in range(3)]
        stands_ours = (net(ours).argmax(1) == labels).sum().item()
        stands_theirs = torch.stack(ends).all(0).sum().item()
        assert abs(stands_ours - stands_theirs) <= 2
        assert stands_ours <= stands_theirs + 1
        accuracies.append(stands_ours)
    assert accuracies == sorted(accuracies, reverse=True)
    assert any(5 < accuracy < 59 for accuracy in accuracies), f"nothing to compare: {accuracies}"
