"""Images that stand in a batch more than once: each copy has its own class and draws, the worst of them counts."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pixelprune.attacks.ascent import ascend, muster, muster_for
from pixelprune.attacks.balls import L2Ball, LinfBall
from pixelprune.attacks.estimators import PLAIN
from pixelprune.attacks.fab import FAB
from pixelprune.attacks.in_turn import in_turn
from pixelprune.attacks.losses import Towards, margin, margin_to
from pixelprune.attacks.narrowing import Budget, Counted, Model
from pixelprune.attacks.replayed import Replayed
from pixelprune.attacks.square import Square
from pixelprune.attacks.targets import Goal
from pixelprune.attacks.twin import Twin
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws

N, K = 6, 5


def constant(logits: Tensor) -> Tensor:
    """A model that always stands: its first logit is far ahead."""
    return torch.tensor([9.0, 0, 0, 0, 0]).expand(len(logits), K)


def test_of_several_points_of_an_image_the_worst_is_kept() -> None:
    images = torch.zeros(3, 1, 2, 2)
    worst = Worst(constant, images, torch.zeros(3, dtype=torch.int64), torch.ones(3, 1, 2, 2, dtype=torch.bool))
    index = torch.tensor([2, 0, 2, 0, 2, 1])
    margins = torch.tensor([-4.0, -8.0, 3.0, 0.5, 3.0, -20.0])
    points = torch.arange(6.0).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    stands = worst.see(index, points, margins)
    assert worst.margins.tolist() == [0.5, -9.0, 3.0]
    assert worst.points[:, 0, 0, 0].tolist() == [3, 0, 2], "the first of two that are equally bad"
    assert stands.tolist() == [False, False, False, False, False, True]
    assert worst.standing.tolist() == [1]


def test_every_row_of_an_image_is_a_pass() -> None:
    budget = Budget(4)
    model = Counted(constant, budget).narrow(torch.tensor([3, 1, 3, 3]))
    model(torch.zeros(4, 1, 2, 2))
    model(torch.zeros(8, 1, 2, 2, requires_grad=True))
    assert budget.forward.tolist() == [0, 3, 0, 9]
    assert budget.backward.tolist() == [0, 2, 0, 6]


@pytest.mark.parametrize("ball", [LinfBall(eps=0.02), L2Ball(eps=0.1)], ids=lambda ball: ball.norm)
def test_goals_together_find_what_they_find_one_after_the_other(ball: LinfBall | L2Ball) -> None:
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(48, K, generator=rng)
    images, mask = 0.3 + 0.4 * torch.rand(N, 3, 4, 4, generator=rng), torch.rand(N, 1, 4, 4, generator=rng) < 0.8
    draws = Draws.of(np.arange(N), 0)

    def model(points: Tensor) -> Tensor:
        logits = points.flatten(1) @ weight
        return logits - 50 * torch.nn.functional.one_hot(torch.zeros(len(points), dtype=torch.int64), K).neg()

    labels = torch.zeros(N, dtype=torch.int64)  # 50 ahead: no image falls, so none leaves before its last step
    index, targets = torch.tensor([4, 0, 1]), torch.randint(1, K, (2, N), generator=rng)
    single = Worst(model, images, labels, mask)
    for rank in range(2):
        loss = Towards(margin_to, targets[rank])
        party = muster(model, loss, index, images, labels, mask, draws.branch(rank))
        ascend(party, 10, ball=ball, worst=single, estimator=PLAIN)
    both = Worst(model, images, labels, mask)
    goals = [Goal(index, targets[rank], draws.branch(rank)) for rank in range(2)]
    ascend(muster_for(model, margin_to, goals, images, labels, mask), 10, ball=ball, worst=both, estimator=PLAIN)
    torch.testing.assert_close(both.margins, single.margins)
    torch.testing.assert_close(both.points, single.points)
    assert (both.points != images).flatten(1).any(1).tolist() == [True, True, False, False, True, False]


def test_streams_go_together_before_anything_is_drawn() -> None:
    one, other = Draws.of(np.arange(2), 0), Draws.of(np.arange(3), 1)
    together = Draws.together([one, other])
    assert torch.equal(together.uniform(4), torch.cat([one.uniform(4), other.uniform(4)]))
    with pytest.raises(AssertionError):
        Draws.together([one])


@pytest.mark.parametrize(("offset", "error"), [(0.0, 0.0), (0.3, 0.0), (-0.3, 0.0), (0.3, 9.0), (-0.3, 9.0)])
def test_fab_believes_the_model_and_not_its_copy(offset: float, error: float) -> None:
    """The copy's boundary lies elsewhere: FAB follows it, and only what the model itself gets wrong counts as found.

    Where the copy is known to err by so much, FAB goes on with the model.
    """
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(48, generator=rng)
    images = 0.4 + 0.2 * torch.rand(N, 3, 4, 4, generator=rng)
    middle = (images.flatten(1) @ weight).mean()

    def shifted(by: float) -> Model:
        def model(points: Tensor) -> Tensor:
            score = points.flatten(1) @ weight - middle + by
            return torch.stack([-score, score], 1)

        return model

    exact = shifted(0.0)
    labels, mask = exact(images).argmax(1), torch.ones(N, 1, 4, 4, dtype=torch.bool)
    judged: list[Tensor] = []

    def watched(points: Tensor) -> Tensor:
        judged.append(points)
        return exact(points)

    ball, draws = LinfBall(eps=0.02), Draws.of(np.arange(N), 0)
    found = FAB(steps=20)(Twin(watched, shifted(offset), error), images, labels, ball=ball, mask=mask, draws=draws)
    moved = (found != images).flatten(1).any(1)
    assert judged and moved.any()
    before, after = (margin(exact(points), labels) for points in (images, found))
    assert (after >= before).all(), "a point that the model likes better than the image is no find"
    if offset == 0 or error:
        reach = 2 * ball.eps * weight.abs().sum()
        assert torch.equal(after > 0, before + reach > 0), "every image within reach falls"


def test_fab_asks_the_model_about_a_boundary_that_its_copy_sees_just_outside_the_ball() -> None:
    """The copy's lies 4 % beyond it, the model's 2 % inside; the clean margins are far above the copy's error."""
    rng = torch.Generator().manual_seed(0)
    weight, images = torch.randn(48, generator=rng), 0.4 + 0.2 * torch.rand(N, 3, 4, 4, generator=rng)
    ball = LinfBall(eps=0.02)
    clean, reach = images.flatten(1) @ weight, ball.eps * weight.abs().sum()

    def shifted(share: float) -> Model:
        """Right by this share of what the ball can take from an image."""

        def model(points: Tensor) -> Tensor:
            score = points.flatten(1) @ weight - clean + share * reach
            return torch.stack([torch.full_like(score, 50.0), 50 + score], 1)

        return model

    labels, mask = torch.ones(N, dtype=torch.int64), torch.ones(N, 1, 4, 4, dtype=torch.bool)
    error = 0.1 * float(reach) / 50
    found = FAB(steps=10)(
        Twin(shifted(0.98), shifted(1.04), error), images, labels, ball=ball, mask=mask, draws=Draws.of(np.arange(N), 0)
    )
    assert (margin(shifted(0.98)(found), labels) > 0).all()


def test_what_one_attack_proved_on_the_model_is_kept_whatever_its_copy_says() -> None:
    images, labels = torch.full((2, 1, 2, 2), 0.5), torch.zeros(2, dtype=torch.int64)
    mask, ball, draws = torch.ones(2, 1, 2, 2, dtype=torch.bool), LinfBall(eps=0.1), Draws.of(np.arange(2), 0)

    def brighter(sign: float) -> Model:
        """Wrong where the mean is larger, or smaller, than one half by more than 0.05."""

        def model(points: Tensor) -> Tensor:
            score = sign * (points.mean((1, 2, 3)) - 0.5) - 0.05
            return torch.stack([torch.zeros_like(score), score], 1)

        return model

    twin = Twin(brighter(1), brighter(-1), 0.0)
    bright, dark = (Replayed(torch.full((2, 1, 2, 2), value), unasked=True) for value in (0.59, 0.46))
    found = in_turn([(bright, draws), (dark, draws)], twin, images, labels, ball=ball, mask=mask)
    torch.testing.assert_close(found, bright.points)


@pytest.mark.parametrize("error", [0.0, 0.2])
def test_square_believes_the_model_and_asks_it_where_the_copy_found_better(error: float) -> None:
    """A copy that is the model changes nothing but the passes; one that errs costs points, and never lends a margin."""
    rng = torch.Generator().manual_seed(0)
    weight, noise = torch.randn(48, generator=rng), torch.randn(48, generator=rng)
    images = 0.4 + 0.2 * torch.rand(N, 3, 4, 4, generator=rng)
    middle = (images.flatten(1) @ weight).mean()

    def along(direction: Tensor) -> Model:
        def model(points: Tensor) -> Tensor:
            score = points.flatten(1) @ direction - middle
            return torch.stack([-score, score], 1)

        return model

    labels, mask = along(weight)(images).argmax(1), torch.ones(N, 1, 4, 4, dtype=torch.bool)
    ball, draws, square = LinfBall(eps=0.01), Draws.of(np.arange(N), 0), Square(queries=300)

    def attacked(model: Model) -> Tensor:
        return square(model, images, labels, ball=ball, mask=mask, draws=draws.branch(0))

    spent = Budget(N)
    found = attacked(Twin(Counted(along(weight), spent), along(weight + error * noise), error=9.0))
    plain, now, before = (margin(along(weight)(points), labels) for points in (attacked(along(weight)), found, images))
    assert (now >= before).all() and (now > before).any()
    assert spent.forward[now <= 0].max() < 100, "the model is asked where its copy has found better, and nowhere else"
    if error == 0:
        assert torch.equal(now, plain)
    else:
        optimum = before + 2 * ball.eps * weight.abs().sum()
        assert (now[now <= 0] > before[now <= 0] + 0.5 * (optimum - before)[now <= 0]).all()
