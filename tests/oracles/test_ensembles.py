"""The ensembles and what they share: the order of targets, budgets of an image's own, averages over draws."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.apgd_targeted import APGDTargeted
from pixelprune.attacks.autoattack import AutoAttack
from pixelprune.attacks.balls import Ball, L2Ball, LinfBall, dual_length
from pixelprune.attacks.catalog import Attack
from pixelprune.attacks.estimators import PLAIN, MeanOfDraws
from pixelprune.attacks.fab import FAB
from pixelprune.attacks.fast import Fast
from pixelprune.attacks.fgsm import FGSM
from pixelprune.attacks.losses import margin
from pixelprune.attacks.max import Max
from pixelprune.attacks.narrowing import Budget, Counted
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.targets import nearest
from pixelprune.draws import Draws

BALLS: list[Ball] = [LinfBall(eps=0.02), L2Ball(eps=0.2)]
by_norm = pytest.mark.parametrize("ball", BALLS, ids=lambda ball: ball.norm)


def network(classes: int) -> nn.Module:
    """Random, with curved boundaries; weights in float64, so that the size of a batch rounds nothing."""
    torch.manual_seed(classes)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Softplus(10), nn.Conv2d(8, 12, 3, stride=2), nn.Softplus(10), nn.Flatten(),
        nn.Linear(108, classes),
    )  # fmt: skip
    return layers.eval().requires_grad_(False).double()


class Curved:
    """Logits around 0 on random images: every class comes up, and margins are small."""

    def __init__(self, classes: int) -> None:
        self.network = network(classes)
        self.middle = self.network(torch.rand(200, 3, 9, 9, dtype=torch.float64)).mean(0)

    def __call__(self, images: Tensor) -> Tensor:
        return 10 * (self.network(images.double()) - self.middle).float()


def case(classes: int, images: int = 24) -> tuple[Curved, Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(classes)
    pictures, mask = torch.rand(images, 3, 9, 9, generator=rng), torch.rand(images, 1, 9, 9, generator=rng) < 0.7
    model = Curved(classes)
    return model, pictures, model(pictures).argmax(1), mask


@pytest.mark.parametrize("classes", [2, 3, 4, 10])
@by_norm
def test_max_is_image_by_image_at_least_as_strong_as_autoattack_and_as_fast(ball: Ball, classes: int) -> None:
    model, images, labels, mask = case(classes)
    arguments = {"ball": ball, "mask": mask, "draws": Draws.of(np.arange(24), 0)}
    reached = [
        margin(model(attack(model, images, labels, **arguments)), labels)
        for attack in (Max(steps=4, queries=8, restarts=1), AutoAttack(steps=4, queries=8), Fast())
    ]
    assert (reached[0] >= reached[1]).all()
    assert (reached[0] >= reached[2]).all()
    assert (reached[0] > 0).any()


def test_max_goes_on_where_both_gave_up() -> None:
    model, images, labels, mask = case(10)
    ball, budget = LinfBall(eps=1e-4), Budget(24)  # nothing falls
    attack = Max(steps=3, queries=5, restarts=2)
    found = attack(Counted(model, budget), images, labels, ball=ball, mask=mask, draws=Draws.of(np.arange(24), 0))
    assert (margin(model(found), labels) <= 0).all()
    first = Budget(24)
    for part in (attack.autoattack, Fast()):
        part(Counted(model, first), images, labels, ball=ball, mask=mask, draws=Draws.of(np.arange(24), 0))
    beyond = (1 + 2 * 3) + (1 + 2 * 3) + (1 + 9 * 3)  # backward passes only where a run has steps
    assert (budget.backward - first.backward).tolist() == [2 * 3 + 2 * 3 + 9 * 3] * 24
    # worst, two verdicts, in_turn with its four verdicts, and each part: its start and, a run, one look at the end.
    assert (budget.forward - first.forward).tolist() == [3 + 1 + 1 + 4 + beyond + 2 + 2 + 9 + 1 + 5] * 24


@by_norm
def test_the_dual_length_is_the_dual_norm(ball: Ball) -> None:
    grad = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    grad[4] = 0
    torch.testing.assert_close(dual_length(grad, ball), grad.flatten(1).norm(p=1 if ball.norm == "linf" else 2, dim=1))


@by_norm
def test_the_nearest_target_is_that_of_the_nearest_plane_over_the_mask(ball: Ball) -> None:
    """On a linear model the distance is exact: by how far each class is away, not by how likely it is."""
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 3, 4, 4, generator=rng) * torch.tensor([1.0, 0.2, 3, 1, 5, 0.5]).view(-1, 1, 1, 1)
    images, labels = torch.rand(8, 3, 4, 4, generator=rng), torch.zeros(8, dtype=torch.int64)
    bias = torch.tensor([60.0, 5, 0, 3, -20, 4])

    def model(images: Tensor) -> Tensor:
        return images.flatten(1) @ weight.flatten(1).T + bias

    orders = []
    for mask in (torch.ones(8, 1, 4, 4, dtype=torch.bool), torch.rand(8, 1, 4, 4, generator=rng) < 0.3):
        between = (weight[1:] - weight[0]) * mask[:, None]  # (8, 5, 3, 4, 4)
        gap = (model(images)[:, :1] - model(images)[:, 1:]) / between.flatten(2).norm(
            p=1 if ball.norm == "linf" else 2, dim=2
        )
        candidates = torch.tensor([3, 1, 2, 5, 4]).expand(8, -1)
        found = nearest(
            model, images, labels, candidates, ball=ball, mask=mask, draws=Draws.of(np.arange(8), 0), estimator=PLAIN
        )
        assert torch.equal(found, gap.argsort(1) + 1)
        assert torch.equal(found.sort(1).values, candidates.sort(1).values)
        orders.append(found)
    assert not torch.equal(*orders)
    assert not torch.equal(orders[0], model(images)[:, 1:].argsort(1, descending=True) + 1)


@pytest.mark.parametrize(
    ("attack", "falls"),
    [
        (APGDTargeted(steps=10), True), (APGDTargeted(steps=10, targets=1), False),
        (FAB(steps=10), True), (FAB(steps=10, targets=1), False),
        (Fast(within=1e9, targets=1, near_targets=1, near=1e9), True),
    ],
    ids=repr,
)  # fmt: skip
@by_norm
def test_a_class_that_is_unlikely_but_near_is_reached(ball: Ball, attack: Attack, falls: bool) -> None:
    """Class 1 follows the right class and stays just below it; class 2 is further behind, and steep."""
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 3, 5, 5, generator=rng)
    weight[1] = weight[0] + 0.01 * weight[1]
    images, mask = 0.4 + 0.2 * torch.rand(4, 3, 5, 5, generator=rng), torch.ones(4, 1, 5, 5, dtype=torch.bool)
    labels, reach = (
        torch.zeros(4, dtype=torch.int64),
        ball.eps * dual_length((weight[2] - weight[0])[None], ball).item(),
    )

    class Model:
        def __init__(self, bias: Tensor) -> None:
            self.bias = bias

        def __call__(self, images: Tensor) -> Tensor:
            return images.flatten(1) @ weight.flatten(1).T + self.bias

        def narrow(self, index: Tensor) -> "Model":
            return Model(self.bias[index])

    model = Model(torch.tensor([0, -0.5 * reach, -0.9 * reach]) - images.flatten(1) @ weight.flatten(1).T)
    found = attack(model, images, labels, ball=ball, mask=mask, draws=Draws.of(np.arange(4), 0))
    assert torch.equal(margin(model(found), labels) > 0, torch.full((4,), falls))


@pytest.mark.parametrize(
    "attack", [Fast(steps=4, targets=2, target_steps=3, near_steps=6), AutoAttack(steps=4, queries=6)], ids=repr
)
@by_norm
def test_the_budget_and_the_streams_of_an_image_are_its_own(ball: Ball, attack: Attack) -> None:
    """Twice the images, another order, and one image alone: the same points and the same passes."""
    model, images, labels, mask = case(10)
    ball = ball.scaled(0.5)  # some fall, some are near, some are far

    def run(index: Tensor) -> tuple[Tensor, Tensor]:
        budget = Budget(len(index))
        found = attack(
            Counted(model, budget), images[index], labels[index],
            ball=ball, mask=mask[index], draws=Draws.of(index.numpy(), 0),
        )  # fmt: skip
        return found, budget.forward + budget.backward

    everybody = torch.arange(24)
    found, passes = run(everybody)
    assert len(passes.unique()) > 2, "all images are alike: the case tests nothing"
    for index in (everybody.flip(0), everybody.repeat(2), *everybody[:6].split(1)):
        again, spent = run(index)
        assert torch.equal(spent, passes[index])
        torch.testing.assert_close(again, found[index], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("within", "led"), [(1.0, 0), (1.5, 1), (3.0, 2), (9.0, 3)])
def test_the_less_is_missing_the_more_classes_fast_tries(within: float, led: int) -> None:
    """Three wrong classes, each 2.2 times as far as the ball reaches: 1.2 times the gain is missing."""
    ball, weight = LinfBall(eps=0.03), torch.randn(3, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    images, labels = torch.full((2, 3, 5, 5), 0.5), torch.zeros(2, dtype=torch.int64)
    behind = torch.cat([torch.zeros(1), -2.2 * ball.eps * dual_length(weight, ball)])

    def model(images: Tensor) -> Tensor:
        return torch.nn.functional.pad((images - 0.5).flatten(1) @ weight.flatten(1).T, (1, 0)) + behind

    mask, budget = torch.ones(2, 1, 5, 5, dtype=torch.bool), Budget(2)
    attack = Fast(steps=6, within=within, target_steps=5, near=0.0)
    attack(Counted(model, budget), images, labels, ball=ball, mask=mask, draws=Draws.of(np.arange(2), 0))
    assert budget.backward.tolist() == [6 + (3 if led else 0) + 5 * led] * 2


@by_norm
def test_fab_does_not_take_a_point_outside_the_ball_for_a_success(ball: Ball) -> None:
    """In a ball that nothing falls in no image leaves: all planes of all targets are spent."""
    model, images, labels, mask = case(10)
    budget, tiny = Budget(24), ball.scaled(1e-3)
    found = FAB(steps=4, targets=2)(
        Counted(model, budget), images, labels, ball=tiny, mask=mask, draws=Draws.of(np.arange(24), 0)
    )
    stands = margin(model(found), labels) <= 0
    assert stands.sum() > 20
    assert (budget.backward[stands] >= 2 * 4).all()


GRADIENT: list[Attack] = [
    FGSM(), PGD(steps=5), APGD(steps=6), APGDTargeted(steps=4), FAB(steps=4), Fast(), AutoAttack(steps=3, queries=4),
    AutoAttack(version="rand", steps=2), Max(steps=2, queries=3, restarts=1),
]  # fmt: skip


@pytest.mark.parametrize("attack", GRADIENT, ids=repr)
@by_norm
def test_the_mean_of_one_draw_is_the_plain_gradient_bit_for_bit(ball: Ball, attack: Attack) -> None:
    model, images, labels, mask = case(4, images=8)
    arguments = {"ball": ball, "mask": mask, "draws": Draws.of(np.arange(8), 0)}
    plain = attack(model, images, labels, **arguments)
    assert torch.equal(attack(model, images, labels, **arguments, estimator=MeanOfDraws(PLAIN, 1)), plain)
    assert not torch.equal(plain, images)


class Noisy:
    """A linear score whose weight is drawn at each call and image: the mean, and much noise that has none."""

    def __init__(self, weight: Tensor) -> None:
        self.weight, self.generator = weight, torch.Generator().manual_seed(0)

    def __call__(self, images: Tensor) -> Tensor:
        noise = torch.randn(len(images), *self.weight.shape, generator=self.generator)
        return self.mean(images, self.weight + 2 * noise)

    @staticmethod
    def mean(images: Tensor, weight: Tensor) -> Tensor:
        score = ((images - 0.5) * weight).sum((1, 2, 3)) + 40
        return torch.stack([torch.zeros_like(score), score], 1)


def test_autoattack_rand_climbs_the_mean_of_a_randomized_model() -> None:
    rng = torch.Generator().manual_seed(0)
    weight, images = torch.randn(3, 8, 8, generator=rng), 0.45 + 0.1 * torch.rand(12, 3, 8, 8, generator=rng)
    labels, mask, ball = torch.ones(12, dtype=torch.int64), torch.ones(12, 1, 8, 8, dtype=torch.bool), LinfBall(eps=0.1)

    def share(attack: Attack) -> float:
        found = attack(Noisy(weight), images, labels, ball=ball, mask=mask, draws=Draws.of(np.arange(12), 0))
        gained = margin(Noisy.mean(found, weight), labels) - margin(Noisy.mean(images, weight), labels)
        return float((gained / (ball.eps * weight.abs().sum())).mean())

    averaged, single = share(AutoAttack(version="rand", steps=20)), share(AutoAttack(steps=20, queries=20))
    assert averaged > 0.85
    assert averaged > single + 0.1


@by_norm
def test_fab_leaves_closed_pixels_as_they_are_to_the_last_bit(ball: Ball) -> None:
    """Means of a point and the clean image round, and most images stay at the boundary for all steps."""
    model, images = network(10).float(), torch.rand(48, 3, 9, 9, generator=torch.Generator().manual_seed(2))
    mask = torch.rand(48, 1, 9, 9, generator=torch.Generator().manual_seed(3)) < 0.3

    class Seen:
        def __init__(self, masks: Tensor) -> None:
            self.masks = masks

        def __call__(self, points: Tensor) -> Tensor:
            return model(points * self.masks)

        def narrow(self, index: Tensor) -> "Seen":
            return Seen(self.masks[index])

    labels = Seen(mask)(images).argmax(1)
    found = FAB(steps=20)(Seen(mask), images, labels, ball=ball, mask=mask, draws=Draws.of(np.arange(48), 0))
    changed = found != images
    assert changed.any()
    assert not (changed & ~mask).any()
