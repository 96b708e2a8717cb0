"""Attacks against linear models, whose worst masked perturbation is known in closed form.

For logits (0, w.x + b) and label 1 the loss rises along -w, so inside a ball and away from the borders of [0, 1]
the best masked perturbation is  -eps * sign(w)  (linf)  and  -eps * w / ||w||  (l2), both taken on the open pixels.
With the borders, the linf optimum is the same step clipped to [0, 1].
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.apgd_targeted import APGDTargeted
from pixelprune.attacks.autoattack import AutoAttack
from pixelprune.attacks.balls import Ball, L2Ball, LinfBall
from pixelprune.attacks.catalog import Attack
from pixelprune.attacks.estimators import PLAIN
from pixelprune.attacks.fab import FAB
from pixelprune.attacks.fast import Fast
from pixelprune.attacks.fgsm import FGSM
from pixelprune.attacks.losses import cross_entropy, log_odds, margin
from pixelprune.attacks.narrowing import Budget, Counted
from pixelprune.attacks.noise import Noise
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.rays import HALVINGS, RayS, _blocks
from pixelprune.attacks.square import Square
from pixelprune.draws import Draws

N, C, H, W = 16, 3, 5, 6
BALLS: list[Ball] = [LinfBall(eps=8 / 255), L2Ball(eps=0.3)]
by_norm = pytest.mark.parametrize("ball", BALLS, ids=lambda ball: ball.norm)
EXACT = [
    FGSM(), PGD(steps=20), PGD(steps=60, relative_step=0.3), PGD(steps=20, loss="margin"),
    PGD(steps=5, relative_step=3.0, restarts=2),
    APGD(steps=20), APGD(), APGD(loss="dlr"), APGDTargeted(steps=20), Fast(within=1e9, near=1e9),
]  # fmt: skip
by_attack = pytest.mark.parametrize("attack", EXACT, ids=repr)
STANDS = 40.0  # a right logit that no attack reaches: the image stays to the end of every path


def linear(weight: Tensor, bias: float = 0.0) -> Callable[[Tensor], Tensor]:
    def model(images: Tensor) -> Tensor:
        score = (images * weight).sum((1, 2, 3)) + bias
        return torch.stack([torch.zeros_like(score), score], 1)

    return model


def best(ball: Ball, weight: Tensor, mask: Tensor) -> Tensor:
    open_weight = weight * mask
    if ball.norm == "linf":
        return -ball.eps * open_weight.sign()
    return -ball.eps * open_weight / open_weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


@pytest.fixture(params=range(3), ids=lambda seed: f"seed{seed}")
def case(request: pytest.FixtureRequest) -> tuple[Tensor, Tensor, Tensor, Tensor, torch.Generator]:
    rng = torch.Generator().manual_seed(request.param)
    weight = torch.randn(C, H, W, generator=rng)
    images = 0.4 + 0.2 * torch.rand(N, C, H, W, generator=rng)
    share = torch.rand(N, 1, 1, 1, generator=rng)  # masks of any size
    mask = torch.rand(N, 1, H, W, generator=rng) < share
    mask[:, :, 0, 0] = True
    return weight, images, mask, torch.ones(N, dtype=torch.int64), rng


def streams(images: Tensor) -> Draws:
    return Draws.of(np.arange(len(images)), 0)


Case = tuple[Tensor, Tensor, Tensor, Tensor, torch.Generator]


@by_attack
@by_norm
def test_finds_the_closed_form_optimum(case: Case, ball: Ball, attack: Attack) -> None:
    weight, images, mask, labels, _ = case
    model, optimum = linear(weight, STANDS), images + best(ball, weight, mask)
    found = attack(model, images, labels, ball=ball, mask=mask, draws=streams(images))
    if ball.norm == "linf":
        where, height = 2e-5, 5e-5
    elif isinstance(attack, PGD) and attack.relative_step is None:
        where, height = 0.08, 0.1  # steps of a constant eps / 8 turn towards the optimum: 0.9 ** 20 of the way is left
    else:
        where, height = 2e-3, 5e-5  # around the optimum the loss is flat: float32 does not tell nearer points apart
    torch.testing.assert_close(found, optimum, atol=where, rtol=0)
    torch.testing.assert_close(margin(model(found), labels), margin(model(optimum), labels), atol=height, rtol=0)


@by_norm
def test_certainty_does_not_hide_the_gradient(case: Case, ball: Ball) -> None:
    """At a logit gap of 1000 the softmax is exactly 1, and plain cross-entropy climbs nowhere."""
    weight, images, mask, labels, _ = case
    model, optimum = linear(weight, 1000.0), images + best(ball, weight, mask)
    for attack in (FGSM(), PGD(steps=20, relative_step=0.5)):
        found = attack(model, images, labels, ball=ball, mask=mask, draws=streams(images))
        torch.testing.assert_close(margin(model(found), labels), margin(model(optimum), labels), atol=2e-3, rtol=0)
    blind = PGD(steps=20, loss="cross_entropy")(model, images, labels, ball=ball, mask=mask, draws=streams(images))
    assert (margin(model(blind), labels) < margin(model(optimum), labels) - 0.01).all()


@by_attack
def test_finds_the_linf_optimum_at_the_borders_of_the_range_too(case: Case, attack: Attack) -> None:
    weight, images, mask, labels, _ = case
    ball = LinfBall(eps=0.2)
    images = ((images - 0.5) * 6 + 0.5).clamp(0, 1)
    optimum = (images + best(ball, weight, mask)).clamp(0, 1)
    found = attack(linear(weight, STANDS), images, labels, ball=ball, mask=mask, draws=streams(images))
    torch.testing.assert_close(found, optimum, atol=1e-6, rtol=0)


@pytest.mark.parametrize("attack", [*EXACT, PGD(steps=20, loss="cross_entropy"), FAB(), FAB(steps=3)], ids=repr)
@by_norm
def test_robust_accuracy_is_the_closed_form_to_the_image(case: Case, ball: Ball, attack: Attack) -> None:
    """t g(x) > eps ||m w||_q, with biases that place every image close to the edge, on both sides."""
    weight, images, mask, _, rng = case
    sign = torch.randint(0, 2, (N,), generator=rng) * 2 - 1
    dual = (weight * mask).flatten(1).norm(p=1 if ball.norm == "linf" else 2, dim=1)
    wanted = sign * ball.eps * dual * (1 + torch.linspace(-0.6, 0.6, N))
    bias = wanted - (images * weight).sum((1, 2, 3))

    class Model:
        def __init__(self, bias: Tensor) -> None:
            self.bias = bias

        def __call__(self, images: Tensor) -> Tensor:
            score = (images * weight).sum((1, 2, 3)) + self.bias
            return torch.stack([torch.zeros_like(score), score], 1)

        def narrow(self, index: Tensor) -> "Model":
            return Model(self.bias[index])

    labels = (sign > 0).long()
    found = attack(Model(bias), images, labels, ball=ball, mask=mask, draws=streams(images))
    stands = Model(bias)(found).argmax(1) == labels
    assert torch.equal(stands, sign * wanted > ball.eps * dual)
    assert 0 < stands.sum() < N


@by_norm
def test_l2_spends_nothing_on_pixels_that_cannot_move(ball: Ball) -> None:
    """Half of the pixels sit at the border and want out: the optimum is the closed form on the other half."""
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(C, H, W, generator=rng)
    stuck = torch.rand(C, H, W, generator=rng) < 0.5
    images = torch.where(stuck, (weight < 0).float(), 0.5).expand(2, -1, -1, -1)
    labels, mask = torch.ones(2, dtype=torch.int64), torch.ones(2, 1, H, W, dtype=torch.bool)
    optimum = best(ball, (weight * ~stuck).expand(2, -1, -1, -1), mask)
    for attack in (FGSM(), PGD(steps=60, relative_step=0.3)):
        found = attack(linear(weight, STANDS), images, labels, ball=ball, mask=mask, draws=streams(images))
        torch.testing.assert_close(
            found - images, optimum, atol=2e-5 if ball.norm == "linf" or attack == FGSM() else 2e-3, rtol=0
        )


@by_attack
@by_norm
def test_an_image_that_is_wrong_by_a_hair_is_left_as_it_is(ball: Ball, attack: Attack) -> None:
    weight, images = torch.ones(C, H, W), torch.full((2, C, H, W), 0.5)
    model = linear(weight, -images[0].sum().item() - 2**-12)
    labels, mask = torch.ones(2, dtype=torch.int64), torch.ones(2, 1, H, W, dtype=torch.bool)
    assert 0 < margin(model(images), labels)[0] < 5e-4
    found = attack(model, images, labels, ball=ball, mask=mask, draws=streams(images))
    assert torch.equal(found, images)


@pytest.mark.parametrize("corners", [False, True])
@by_norm
def test_noise_never_passes_the_optimum(case: Case, ball: Ball, corners: bool) -> None:
    weight, images, mask, labels, _ = case
    model = linear(weight, STANDS)
    found = Noise(draws=50, corners=corners)(model, images, labels, ball=ball, mask=mask, draws=streams(images))
    optimum = images + best(ball, weight, mask)
    clean, reached, limit = (margin(model(points), labels) for points in (images, found, optimum))
    assert (reached <= limit + 1e-3).all()
    assert (reached > clean).all()


def test_squares_find_nine_tenths_of_the_optimum_and_never_pass_it(case: Case) -> None:
    weight, images, mask, labels, _ = case
    model, ball = linear(weight, STANDS), LinfBall(eps=8 / 255)
    found = Square(queries=500)(model, images, labels, ball=ball, mask=mask, draws=streams(images))
    clean, reached, limit = (
        margin(model(points), labels) for points in (images, found, images + best(ball, weight, mask))
    )
    share = (reached - clean) / (limit - clean)
    assert (share <= 1 + 1e-4).all()
    assert (share >= 0.9).all()


def test_l2_squares_gain_much_of_the_optimum_and_never_pass_it(case: Case) -> None:
    """A bump is not the best shape: on masks of scattered pixels about 0.7 of the optimum in 500 queries."""
    weight, images, mask, labels, _ = case
    model, ball = linear(weight, STANDS), L2Ball(eps=0.3)
    found = Square(queries=500)(model, images, labels, ball=ball, mask=mask, draws=streams(images))
    clean, reached, limit = (
        margin(model(points), labels) for points in (images, found, images + best(ball, weight, mask))
    )
    share = (reached - clean) / (limit - clean)
    assert (share <= 1 + 1e-4).all()
    assert share.mean() >= 0.6


@by_norm
def test_rays_find_the_boundary_from_classes_alone_and_never_pass_the_optimum(case: Case, ball: Ball) -> None:
    """Biases that leave every image at 0.7 (linf) or 0.4 (l2) of what the ball can take from it."""
    weight, images, mask, labels, _ = case
    reach = (weight * mask).flatten(1).norm(p=1 if ball.norm == "linf" else 2, dim=1) * ball.eps
    aim = 0.7 if ball.norm == "linf" else 0.4
    score = (images * weight).sum((1, 2, 3))
    model = Shifted(weight, aim * reach - score)
    attack = RayS(queries=1500)
    found = attack(model, images, labels, ball=ball, mask=mask, draws=streams(images))
    assert (margin(model(found), labels) > 0).all()
    model = Shifted(weight, 1.01 * reach - score)
    found = attack(model, images, labels, ball=ball, mask=mask, draws=streams(images))
    assert (margin(model(found), labels) < 0).all()


def test_rays_go_on_turning_single_signs_until_their_queries_are_spent(case: Case) -> None:
    """What a turn is worth depends on the others: one round over all signs is not the end."""
    weight, images, mask, labels, _ = case
    budget, queries = Budget(N), 1000
    RayS(queries=queries)(
        Counted(linear(weight, STANDS), budget), images, labels,
        ball=LinfBall(eps=8 / 255), mask=mask, draws=streams(images),
    )  # fmt: skip
    assert ((budget.forward > queries) & (budget.forward <= queries + 1 + HALVINGS)).all()


def test_blocks_of_rays_hold_each_open_sign_once_a_round_whatever_is_beside_them() -> None:
    mask = torch.rand(3, 2, 3, 3, generator=torch.Generator().manual_seed(0)) < 0.5
    mask[1].view(-1)[1:], mask[1, 0, 0, 0] = False, True
    mask[2].view(-1)[3:] = False
    together = [block for block, _ in zip(_blocks(mask), range(60))]
    for number, own in enumerate(mask):
        count, level, alone = int(own.sum()), 1, iter(_blocks(own[None]))
        assert count > 0
        seen = [block[number] for block in together if block[number].any()]
        assert all(
            torch.equal(one, other) for one, other in zip(seen, (b[0] for b, _ in zip(alone, range(60)) if b[0].any()))
        )
        while level < 2 * count:
            round_, seen = seen[: min(level, count)], seen[min(level, count) :]
            assert torch.equal(sum(round_), own)  # type: ignore[arg-type]
            level *= 2
        assert len(seen) >= count and torch.equal(sum(seen[:count]), own)  # type: ignore[arg-type]


def test_an_estimator_that_draws_gets_the_streams_of_its_images(case: Case) -> None:
    weight, images, mask, labels, _ = case
    asked = []

    class Noted:
        def gradient(self, model, points, labels, loss, draws):
            asked.append(draws.seeds)
            return PLAIN.gradient(model, points, labels, loss, draws)

    wrong = labels.clone()
    wrong[::2] = 0  # already misclassified: left out
    draws = streams(images)
    FGSM()(linear(weight, STANDS), images, wrong, ball=BALLS[0], mask=mask, draws=draws, estimator=Noted())
    assert torch.equal(asked[0], draws.narrow(torch.arange(1, N, 2)).seeds)


class Shifted:
    """A linear model with a bias for each image."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight, self.bias = weight, bias

    def __call__(self, images: Tensor) -> Tensor:
        score = (images * self.weight).sum((1, 2, 3)) + self.bias
        return torch.stack([torch.zeros_like(score), score], 1)

    def narrow(self, index: Tensor) -> "Shifted":
        return Shifted(self.weight, self.bias[index])


@by_norm
def test_more_draws_and_more_open_pixels_never_help_the_image(case: Case, ball: Ball) -> None:
    weight, images, mask, labels, _ = case
    model = linear(weight, STANDS)

    def reached(attack: Attack, mask: Tensor) -> Tensor:
        return margin(model(attack(model, images, labels, ball=ball, mask=mask, draws=streams(images))), labels)

    assert (reached(Noise(draws=20), mask) >= reached(Noise(draws=5), mask)).all()
    assert (reached(FGSM(), torch.ones_like(mask)) >= reached(FGSM(), mask)).all()


@by_norm
def test_draws_lie_where_they_should(ball: Ball) -> None:
    """Uniform in the ball: the share within half of the radius is 2 ** -dimension; corners have the full length."""
    mask = torch.zeros(4000, 1, 2, 2, dtype=torch.bool)
    mask[:, :, 0, 1] = True
    draws = ball.sample(mask, 2, streams(mask))  # two open values
    assert not draws[~mask.expand_as(draws)].any()
    moved = draws[:, :, 0, 1]
    length = moved.abs().amax(1) if ball.norm == "linf" else moved.norm(dim=1)
    assert (length <= ball.eps + 1e-7).all()
    assert abs((length < ball.eps / 2).float().mean() - 0.25) < 0.03
    corners = ball.corner(mask, 2, streams(mask))
    assert not corners[~mask.expand_as(corners)].any()
    moved = corners[:, :, 0, 1]
    length = moved.abs() if ball.norm == "linf" else moved.norm(dim=1)
    torch.testing.assert_close(length, torch.full_like(length, ball.eps))
    assert moved.mean(0).abs().max() < 0.05 * ball.eps


@by_norm
def test_tiny_and_huge_gradients_point_alike(ball: Ball) -> None:
    grad = torch.randn(3, C, H, W, generator=torch.Generator().manual_seed(0))
    for scale in (1e-30, 1.0, 1e30):
        torch.testing.assert_close(ball.steepest(grad * scale), ball.steepest(grad), atol=1e-5, rtol=0)
    assert torch.equal(ball.steepest(torch.zeros_like(grad)), torch.zeros_like(grad))


def test_cross_entropy_and_log_odds_rise_the_same_way() -> None:
    logits = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.arange(8) % 5
    torch.testing.assert_close(cross_entropy(logits, labels), F.softplus(log_odds(logits, labels)))
    one, other = (torch.autograd.grad(loss(logits, labels).sum(), logits)[0] for loss in (cross_entropy, log_odds))
    torch.testing.assert_close(one / one.norm(dim=1, keepdim=True), other / other.norm(dim=1, keepdim=True))


def test_the_margin_by_hand() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0], [0.0, 0.0, -5.0]])
    assert margin(logits, torch.tensor([1, 2])).tolist() == [-1.0, 5.0]
    assert margin(logits, torch.tensor([0, 1])).tolist() == [2.0, 0.0]


@by_norm
def test_the_budget_counts_every_pass(case: Case, ball: Ball) -> None:
    weight, images, mask, labels, _ = case
    labels = labels.clone()
    labels[:3] = 0  # wrong already
    mask = mask.clone()
    mask[3] = False  # nothing to write on
    expected = {
        Noise(draws=7): (8, 0),
        FGSM(): (3, 1),
        PGD(steps=9): (1 + 10, 9),
        PGD(steps=9, restarts=3): (1 + 30, 27),
        APGD(steps=9, restarts=2): (1 + 20, 18),
        APGDTargeted(steps=9): (1 + 10, 9),  # of two classes one is wrong
        FAB(steps=9): (1 + 18, 9),
        Square(queries=9): (1 + 9, 0),
        AutoAttack(steps=9, queries=9): (1 + 12 + 12 + 20 + 11, 27),
        Fast(steps=5, within=1e9, target_steps=6, near=1e9, near_steps=7): (1 + 6 + 1 + 7 + 8, 19),
        Fast(steps=5): (1 + 6, 5),  # out of reach
    }
    for attack, (forward, backward) in expected.items():
        budget = Budget(N)
        attack(Counted(linear(weight, STANDS), budget), images, labels, ball=ball, mask=mask, draws=streams(images))
        assert budget.forward.tolist() == [1] * 4 + [forward] * (N - 4)
        assert budget.backward.tolist() == [0] * 4 + [backward] * (N - 4)


def test_the_budget_ends_when_an_image_is_fooled() -> None:
    """At a start that does not fool, every step moves the one open value by a quarter of eps: the fourth does."""
    images, labels = torch.full((2, 1, 1, 1), 0.5), torch.ones(2, dtype=torch.int64)
    ball, mask = LinfBall(eps=0.1), torch.ones(2, 1, 1, 1, dtype=torch.bool)

    class Still(LinfBall):
        def sample(self, mask: Tensor, channels: int, draws: Draws) -> Tensor:
            return torch.zeros(len(mask), channels, *mask.shape[2:])

    class Model:
        def __init__(self, bias: Tensor) -> None:
            self.bias = bias

        def __call__(self, images: Tensor) -> Tensor:
            score = 100 * (images.flatten(1).squeeze(1) - 0.5) + self.bias
            return torch.stack([torch.zeros_like(score), score], 1)

        def narrow(self, index: Tensor) -> "Model":
            return Model(self.bias[index])

    budget = Budget(2)
    model = Counted(Model(torch.tensor([6.0, 20.0])), budget)  # falls at -0.06; never
    attack = PGD(steps=10, relative_step=0.25)
    attack(model, images, labels, ball=Still(eps=ball.eps), mask=mask, draws=streams(images))
    assert budget.forward.tolist() == [1 + 4, 1 + 11]  # clean; start and three steps; start, nine steps, the end
    assert budget.backward.tolist() == [4, 10]


def test_a_batch_that_was_not_narrowed_is_refused() -> None:
    model = Counted(lambda images: images.flatten(1), Budget(4))
    model(torch.zeros(8, 1, 1, 2))  # every image twice
    assert model.budget.forward.tolist() == [2] * 4
    with pytest.raises(ValueError, match="called with 3 images, but this model is narrowed to 4"):
        model(torch.zeros(3, 1, 1, 2))
    model.narrow(torch.tensor([True, False, False, True]))(torch.zeros(2, 1, 1, 2))
    assert model.budget.forward.tolist() == [3, 2, 2, 3]
