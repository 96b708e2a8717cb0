"""The nearest point of a plane inside the pixel range, against a linear and a quadratic program."""

import numpy as np
import pytest
import torch
from scipy import optimize

from pixelprune.attacks.balls import Ball, L2Ball, LinfBall
from pixelprune.attacks.plane import onto_plane

BALLS: list[Ball] = [LinfBall(eps=1.0), L2Ball(eps=1.0)]
by_norm = pytest.mark.parametrize("ball", BALLS, ids=lambda ball: ball.norm)
SHAPE = (3, 4, 2)


def problem(seed: int, reach: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Some values at the border, some weights zero; the plane at a share `reach` of what the range allows."""
    rng = torch.Generator().manual_seed(seed)
    points = (1.6 * torch.rand(6, *SHAPE, generator=rng) - 0.3).clamp(0, 1)
    weight = torch.randn(6, *SHAPE, generator=rng) * (torch.rand(6, *SHAPE, generator=rng) < 0.8)
    sign = torch.tensor([1.0, -1, 1, -1, 1, -1])
    room = torch.where(weight * sign.view(-1, 1, 1, 1) > 0, 1 - points, points)
    return points, weight, reach * sign * (weight.abs() * room).sum((1, 2, 3))


def program(points: np.ndarray, weight: np.ndarray, rise: float, norm: str) -> float:
    """The smallest norm by an independent solver."""
    low, high = -points, 1 - points
    if norm == "linf":  # variables: delta, and the bound of all of them
        size = len(points)
        cost = np.append(np.zeros(size), 1)
        above = np.block([[np.eye(size), -np.ones((size, 1))], [-np.eye(size), -np.ones((size, 1))]])
        bounds = [*zip(low, high), (0, None)]
        found = optimize.linprog(
            cost, A_ub=above, b_ub=np.zeros(2 * size), A_eq=[np.append(weight, 0)], b_eq=[rise], bounds=bounds
        )
        return float(found.fun)

    def risen(multiplier: float) -> float:
        return float(weight @ np.clip(multiplier * weight, low, high)) - rise

    return float(np.linalg.norm(np.clip(optimize.brentq(risen, -1e6, 1e6, xtol=1e-14) * weight, low, high)))


@by_norm
@pytest.mark.parametrize("reach", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_reaches_the_plane_by_the_shortest_way_inside_the_range(ball: Ball, reach: float, seed: int) -> None:
    points, weight, rise = problem(seed, reach)
    delta = onto_plane(points, weight, rise, ball)
    torch.testing.assert_close((weight * delta).sum((1, 2, 3)), rise, atol=1e-5, rtol=1e-5)
    assert ((points + delta) >= -1e-6).all()
    assert ((points + delta) <= 1 + 1e-6).all()
    assert not delta[weight == 0].any()
    shortest = [
        program(p.flatten().numpy().astype(float), w.flatten().numpy().astype(float), float(r), ball.norm)
        for p, w, r in zip(points, weight, rise)
    ]
    torch.testing.assert_close(ball.length(delta), torch.tensor(shortest, dtype=torch.float32), atol=1e-4, rtol=1e-4)


@by_norm
def test_a_plane_out_of_reach_is_approached_as_far_as_the_range_allows(ball: Ball) -> None:
    points, weight, rise = problem(0, 1.5)
    delta = onto_plane(points, weight, rise, ball)
    torch.testing.assert_close((weight * delta).sum((1, 2, 3)), rise / 1.5, atol=1e-4, rtol=1e-4)


@by_norm
def test_no_weight_and_no_rise_move_nothing(ball: Ball) -> None:
    points, weight, rise = problem(0, 0.5)
    assert not onto_plane(points, torch.zeros_like(weight), rise, ball).any()
    assert not onto_plane(points, weight, torch.zeros_like(rise), ball).any()
