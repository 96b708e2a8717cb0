"""The attack on doubt: its margin is a threshold on a probability, and what it finds leaves a posterior no doubt."""

from math import log

import numpy as np
import pytest
import torch
from torch import Tensor

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.balls import LinfBall
from pixelprune.attacks.fresh import Fresh
from pixelprune.attacks.losses import margin
from pixelprune.attacks.mean import Mean
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.stochastic.confident import Confident, log_odds_of_each
from pixelprune.draws import Draws
from pixelprune.evaluation.uncertainty import mutual_information, predictive_entropy

N, K, SIDE = 24, 4, 5
EVERYWHERE = torch.ones(N, 1, SIDE, SIDE, dtype=torch.bool)
WEIGHT = torch.randn(K, 3 * SIDE * SIDE, generator=torch.Generator().manual_seed(1))
IMAGES = 0.3 + 0.4 * torch.rand(N, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))


def logits(images: Tensor, scale: float = 1.0) -> Tensor:
    return scale * (images - 0.5).flatten(1) @ WEIGHT.to(images).T


def posterior(images: Tensor, draws: Draws) -> Tensor:
    noise = draws.normal(K, WEIGHT.shape[1]).to(images)
    return logits(images) + 0.3 * torch.einsum("nkd,nd->nk", noise, (images - 0.5).flatten(1))


LABELS = logits(IMAGES).argmax(1)


def test_the_margin_is_positive_exactly_where_a_wrong_class_is_surer_than_asked() -> None:
    images = torch.rand(400, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
    labels = torch.randint(K, (400,), generator=torch.Generator().manual_seed(4))
    for sure in (0.5, 0.7, 0.95):
        found = margin(Confident(logits, labels, sure)(images), labels)
        wrong = torch.softmax(logits(images), 1).scatter(1, labels[:, None], 0).amax(1)
        assert ((found > 0) == (wrong > sure)).all()
        assert 0 < (found > 0).sum() < 400
    assert torch.equal(margin(Confident(logits, labels)(images), labels).argsort(), wrong.argsort())


def test_odds_are_exact_with_their_gradient_where_a_class_is_nearly_certain() -> None:
    sharp = torch.tensor([[100.0, 0, 0, -3]], requires_grad=True)
    odds = log_odds_of_each(sharp)
    torch.testing.assert_close(odds[0, 0], torch.tensor(100 - log(2 + np.exp(-3))))
    (grad,) = torch.autograd.grad(odds[0, 0], sharp)
    torch.testing.assert_close(grad[0, 0], torch.tensor(1.0))
    soft = torch.randn(9, K, generator=torch.Generator().manual_seed(0))
    chances = torch.softmax(soft, 1)
    torch.testing.assert_close(log_odds_of_each(soft), (chances / (1 - chances)).log())
    torch.testing.assert_close(log_odds_of_each(torch.log_softmax(soft, 1)), log_odds_of_each(soft))


def test_of_two_classes_the_attack_finds_the_corner_that_is_surest() -> None:
    """Linear: the largest log odds in the ball are those at its corner; there is nothing beyond."""
    two, ball = WEIGHT[:2], LinfBall(eps=0.02)

    def model(images: Tensor) -> Tensor:
        return (images - 0.5).flatten(1) @ two.T

    labels = model(IMAGES).argmax(1)
    towards = torch.where(labels == 0, 1.0, -1.0)[:, None] * (two[1] - two[0])
    best = model(IMAGES + 0.02 * towards.sign().view_as(IMAGES))
    wanted = (best[:, 1] - best[:, 0]) * torch.where(labels == 0, 1.0, -1.0)
    attack = PGD(steps=20, loss="margin", relative_step=0.2)
    points = attack(
        Confident(model, labels, 0.999999), IMAGES, labels, ball=ball, mask=EVERYWHERE, draws=Draws.of(np.arange(N), 0)
    )
    found = (model(points)[:, 1] - model(points)[:, 0]) * torch.where(labels == 0, 1.0, -1.0)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sure", [0.8, 0.99])
def test_a_posterior_that_is_deceived_has_no_doubt_left(sure: float) -> None:
    """The usual attack stops at the boundary, where doubt is largest."""
    ball, streams = LinfBall(eps=0.2), Draws.of(np.arange(N), 0)
    entropy, information = {}, {}
    for name in ("plain", "confident"):
        mean = Mean(posterior, Fresh.of(Draws.of(np.arange(N), name)), 20)
        model = Confident(mean, LABELS, sure) if name == "confident" else mean
        attack = APGD(steps=30, loss="margin")
        points = attack(model, IMAGES, LABELS, ball=ball, mask=EVERYWHERE, draws=streams)
        judge = Mean(posterior, Fresh.of(Draws.of(np.arange(N), "judge")), 100)
        each = judge.each(points)
        assert (each.exp().mean(0).argmax(1) != LABELS).float().mean() > 0.8  # near the boundary other draws may differ
        entropy[name] = predictive_entropy(each.numpy())
        information[name] = mutual_information(each.numpy())
    slack = 0.1 * (1 - sure) + 0.01  # the judge's draws are others
    least = sure - slack
    limit = -least * log(least) - (1 - least) * log(1 - least) + (1 - least) * log(K - 1)
    assert np.median(entropy["confident"]) < limit
    assert np.median(entropy["confident"]) < np.median(entropy["plain"])
    assert np.median(information["confident"]) < np.median(information["plain"])
    assert (information["confident"] <= entropy["confident"]).all()


def test_it_is_narrowed_with_its_labels() -> None:
    index = torch.tensor([5, 2])
    model = Confident(logits, LABELS)
    torch.testing.assert_close(model.narrow(index)(IMAGES[index]), model(IMAGES)[index])
    with pytest.raises(ValueError, match="2 images for 24 labels"):
        model(IMAGES[:2])
