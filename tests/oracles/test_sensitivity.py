"""Universal perturbations and noise against closed forms; accuracy and flips counted image by image."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from oracles.subjects import linear, rand, subject
from pixelprune.attacks.balls import L2Ball, LinfBall
from pixelprune.fills.black import Black
from pixelprune.measures import answers, universal
from pixelprune.measures.filters import low_passed
from pixelprune.measures.sensitivity import Sensitivity, as_long, shown
from pixelprune.pruning import FrozenModel, PrunedModel

SIDE, EPS = 8, 0.06
BLACK = Black(name="black")


def middling(count: int) -> Tensor:
    """No perturbation of size EPS meets 0 or 1."""
    return 0.3 + 0.4 * rand(count, 3, SIDE, SIDE, seed=2)


def weights(seed: int = 1) -> Tensor:
    return rand(3, SIDE, SIDE, seed=seed) - 0.5


def learn(model: object, images: Tensor, labels: Tensor, ball: LinfBall | L2Ball, epochs: int = 4) -> Tensor:
    return universal.learn(
        model, images, labels, ball,  # type: ignore[arg-type]
        epochs=epochs, batch=10, relative_step=0.5, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip


@pytest.mark.parametrize("label", [0, 1])
def test_the_universal_perturbation_of_a_linear_model_is_the_best_corner(label: int) -> None:
    """All images of one class: the loss of every one falls with the score of that class, so the optimum is known."""
    images, labels = middling(40), torch.full((40,), label)
    away = weights() * (1 - 2 * label)
    linf = learn(linear(weights()), images, labels, LinfBall(eps=EPS))
    torch.testing.assert_close(linf[0], EPS * away.sign())
    l2 = learn(linear(weights()), images, labels, L2Ball(eps=1.0), epochs=12)
    torch.testing.assert_close(l2[0], away / away.norm(), atol=2e-3, rtol=0)
    assert float(l2.norm()) <= 1 + 1e-6


def test_it_favours_the_class_that_most_images_have() -> None:
    """Scores of no size: every loss has the same slope, so the majority decides each step on the whole batch."""
    images, labels = middling(40), (torch.arange(40) < 25).long()
    model = linear(1e-3 * weights(), -1e-3 * float((0.5 * weights()).sum()))
    found = universal.learn(
        model, images, labels, LinfBall(eps=EPS),
        epochs=30, batch=40, relative_step=0.5, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    torch.testing.assert_close(found[0], -EPS * weights().sign())


@dataclass(frozen=True)
class Biased:
    """Two classes: logits of the weights' score plus a bias of each image's own, and 0."""

    bias: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        score = (images * weights()).sum((1, 2, 3)) + self.bias
        return torch.stack([score, torch.zeros_like(score)], 1)

    def narrow(self, index: Tensor) -> "Biased":
        return Biased(self.bias[index])


def test_images_that_are_lost_already_do_not_lead() -> None:
    """Class 1, with a loss of 60, rises with the score, steeper than class 0 falls; but it is beyond the cut."""
    images, labels = middling(2), torch.tensor([1, 0])
    found = learn(Biased(torch.tensor([60.0, 0.0])), images, labels, LinfBall(eps=EPS))
    torch.testing.assert_close(found[0], -EPS * weights().sign())
    found = learn(Biased(torch.tensor([5.0, 0.0])), images, labels, LinfBall(eps=EPS))
    torch.testing.assert_close(found[0], EPS * weights().sign())


@pytest.mark.parametrize("ball", [LinfBall(eps=EPS), L2Ball(eps=1.3)])
def test_the_universal_perturbation_stays_in_its_ball_and_leaves_alone_what_nobody_sees(
    ball: LinfBall | L2Ball,
) -> None:
    images, labels = rand(30, 3, SIDE, SIDE), torch.arange(30) % 2
    mask = torch.zeros(30, 1, SIDE, SIDE, dtype=torch.bool)
    mask[..., :4] = True
    found = learn(FrozenModel(linear(weights()), mask, BLACK), images, labels, ball)
    assert found.shape == (1, 3, SIDE, SIDE)
    assert float(ball.length(found)) <= ball.eps + 1e-6
    assert (found[..., 4:] == 0).all() and (found[..., :4] != 0).any()


@pytest.mark.parametrize("ball", [LinfBall(eps=EPS), L2Ball(eps=1.3)])
def test_noise_is_as_long_as_its_ball_is_wide(ball: LinfBall | L2Ball) -> None:
    noise = torch.randn(20, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    found = as_long(noise, ball)
    torch.testing.assert_close(ball.length(found), torch.full((20,), ball.eps))
    ratio = found / noise
    torch.testing.assert_close(ratio, ratio[:, :1, :1, :1].expand_as(ratio))  # its direction is kept
    assert (as_long(torch.zeros(2, 3, 4, 4), ball) == 0).all()


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.01), ("l2", 0.12)])
def test_every_share_is_counted_image_by_image(norm: str, eps: float) -> None:
    count = 60
    images = middling(count)
    bias = -float((0.5 * weights()).sum())
    score = (images * weights()).sum((1, 2, 3)) + bias
    labels = ((score > 0) ^ (torch.arange(count) % 7 == 0)).long()  # some are wrong from the start
    own = Sensitivity(name="sensitivity", images=50, universal_images=40, radius=3.0)
    run = subject(linear(weights(), bias), images, labels, norm=norm, eps=eps)
    found = own(run)
    seen, ball = run.test.first(50), run.threat.ball()

    # A right image falls exactly where its score is nearer to 0 than the ball reaches: eps times the dual norm.
    reach = eps * float(weights().abs().sum() if norm == "linf" else weights().norm())
    clean = (score > 0).long()[:50]
    falls = (clean == labels[:50]) & (score[:50].abs() < reach)
    assert 0 < int(falls.sum()) < 50
    shares = found.summary["adversarial"]
    assert shares["flips"]["share"] == pytest.approx(int(falls.sum()) / 50)
    assert shares["accuracy"]["share"] == pytest.approx(int(((clean == labels[:50]) & ~falls).sum()) / 50)

    draws, delta = run.draws(seen, "sensitivity", "noise"), own._universal(run, ball)
    views = {
        "clean": seen.images,
        "universal": seen.images + delta,
        "uniform": seen.images + as_long(2 * draws.uniform(3, SIDE, SIDE) - 1, ball),
        "gaussian": seen.images + as_long(draws.normal(3, SIDE, SIDE), ball),
        "low_pass": low_passed(seen.images, 3.0, "ideal").clamp(0, 1),
    }
    rows = found.tables["rows"]
    for name, view in views.items():
        said = [int((view[i] * weights()).sum() + bias > 0) for i in range(50)]
        assert rows.loc[rows["perturbation"] == name, "pred"].tolist() == said
        right = sum(one == int(label) for one, label in zip(said, labels))
        other = sum(one != int(before) for one, before in zip(said, clean))
        if name == "clean":
            assert found.summary["clean"]["share"] == pytest.approx(right / 50) and other == 0
        else:
            shares = found.summary[name]
            assert shares["accuracy"]["share"] == pytest.approx(right / 50)
            assert shares["flips"]["share"] == pytest.approx(other / 50)
            assert shares["flips"]["low"] <= other / 50 <= shares["flips"]["high"] and shares["flips"]["n"] == 50
    assert len(rows) == 6 * 50
    assert found.summary["eps"] == eps and found.summary["norm"] == norm


def test_a_perturbation_for_the_eye() -> None:
    delta = torch.zeros(1, 3, 2, 2)
    delta[0, 0, 0, 0], delta[0, 1, 1, 1] = 0.02, -0.01
    picture = shown(delta)
    assert picture.shape == (2, 2, 3) and picture.dtype == np.uint8
    assert picture[0, 0, 0] == 255 and picture[1, 1, 1] == 64 and picture[0, 1, 0] == 128


def test_the_mask_is_computed_from_the_changed_image_but_an_oracle_keeps_its_own() -> None:
    images, changed = rand(5, 3, SIDE, SIDE), rand(5, 3, SIDE, SIDE, seed=1)
    network = linear(weights())
    pruned = PrunedModel(network, lambda points, ids: points.mean(1), 0.5, BLACK)
    mask = pruned.mask(images)
    labels = torch.zeros(5, dtype=torch.int64)
    runs = [subject(network, images, labels, mask=mask, pruned=whole) for whole in (pruned, None)]
    anew, kept = (answers.logits(run, run.test, changed) for run in runs)
    for i in range(5):
        order = changed[i].mean(0).flatten().argsort(descending=True)[: SIDE**2 // 2]
        own = torch.zeros(SIDE**2).index_fill(0, order, 1.0).view(SIDE, SIDE)
        assert float(anew[i, 1]) == pytest.approx(float((changed[i] * own * weights()).sum()), abs=1e-4)
        assert float(kept[i, 1]) == pytest.approx(float((changed[i] * mask[i] * weights()).sum()), abs=1e-4)
    assert not torch.allclose(anew, kept)
