"""Doubt in closed form, the area under the curve by brute force over pairs, its interval by simulation."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pixelprune.evaluation.uncertainty import (
    auroc,
    expected_entropy,
    mutual_information,
    predictive_entropy,
)  # fmt: skip


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def log_chances(*shape: int, seed: int = 1) -> NDArray[np.float64]:
    logits = 3 * draws(seed).normal(size=shape)
    return np.asarray(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))


def by_pairs(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    pairs = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    return float(np.mean(pairs))


def test_doubt_of_known_draws() -> None:
    sure, coin = np.log([1 - 1e-12, 1e-12]), np.log([0.5, 0.5])
    with np.errstate(divide="ignore"):
        other, never = np.log([1e-12, 1 - 1e-12]), np.log([1.0, 0.0])
    each = np.array([[sure, coin, sure, never], [sure, coin, other, never]])  # 2 draws of 4 images
    np.testing.assert_allclose(predictive_entropy(each), [0, np.log(2), np.log(2), 0], atol=1e-9)
    np.testing.assert_allclose(expected_entropy(each), [0, np.log(2), 0, 0], atol=1e-9)
    np.testing.assert_allclose(mutual_information(each), [0, 0, np.log(2), 0], atol=1e-9)


def test_mutual_information_is_the_mean_divergence_from_the_mean_and_not_negative() -> None:
    each = log_chances(6, 50, 4)
    mean = np.exp(each).mean(0)
    divergence = (np.exp(each) * (each - np.log(mean))).sum(-1).mean(0)
    found = mutual_information(each)
    np.testing.assert_allclose(found, divergence, atol=1e-12)
    assert (found > 0).all() and (found <= predictive_entropy(each)).all() and (found < np.log(4)).all()
    np.testing.assert_allclose(mutual_information(np.repeat(each[:1], 5, 0)), 0, atol=1e-12)
    assert (mutual_information(np.repeat(each[:1], 5, 0).astype(np.float32)) >= 0).all()


@pytest.mark.parametrize("ties", [False, True])
def test_the_area_is_the_share_of_pairs_in_order(ties: bool) -> None:
    scores = draws(2).normal(size=90)
    scores = np.round(scores) if ties else scores
    positive = draws(3).random(90) < 0.3
    found = auroc(scores, positive, np.arange(90), draws(), resamples=50)
    assert found.value == pytest.approx(by_pairs(scores, positive))
    assert (found.positives, found.negatives) == (positive.sum(), (~positive).sum())
    flipped = auroc(-scores, positive, np.arange(90), draws(), resamples=50)
    assert flipped.value == pytest.approx(1 - found.value)
    assert auroc(np.zeros(90), positive, np.arange(90), draws(), resamples=50).value == 0.5
    assert auroc(positive * 1.0, positive, np.arange(90), draws(), resamples=50).interval == (1.0, 1.0)


def test_resamples_are_those_of_whole_groups_by_brute_force() -> None:
    scores, groups = np.round(draws(4).normal(size=12), 1), np.repeat(np.arange(6), 2)
    positive = np.tile([True, False], 6)
    areas = []
    generator = draws(9)
    for _ in range(4000):
        rows = np.concatenate([np.flatnonzero(groups == group) for group in generator.integers(6, size=6)])
        areas.append(by_pairs(scores[rows], positive[rows]))
    found = auroc(scores, positive, groups, draws(), resamples=20_000)
    np.testing.assert_allclose(found.interval, np.quantile(areas, [0.025, 0.975]), atol=0.03)


def test_the_interval_covers_as_often_as_it_says() -> None:
    """Two normal distributions one apart: the area is Phi(1 / sqrt 2)."""
    covered, generator = 0, draws(5)
    for _ in range(200):
        scores = np.concatenate([generator.normal(1, 1, 60), generator.normal(0, 1, 60)])
        found = auroc(scores, np.arange(120) < 60, np.arange(120), generator, resamples=400)
        covered += found.low <= 0.760250 <= found.high
    assert 0.89 <= covered / 200 <= 0.99


def test_what_cannot_be_answered_is_refused() -> None:
    for scores, positive, groups in [
        (np.ones(3), np.ones(3, bool), np.arange(3)),
        (np.ones(3), np.zeros(3, bool), np.arange(3)),
        (np.ones(3), np.array([True, False]), np.arange(3)),
        (np.array([np.nan, 1, 2]), np.array([True, False, True]), np.arange(3)),
        (np.ones(3), np.array([True, False, True]), np.arange(2)),
    ]:
        with pytest.raises(ValueError, match="needs"):
            auroc(scores, positive, groups, draws())


def test_an_area_is_written_with_its_interval_and_numbers() -> None:
    found = auroc(np.array([1.0, 2, 3, 0]), np.array([True, True, False, False]), np.arange(4), draws(), resamples=20)
    assert str(found).startswith("0.500 [") and str(found).endswith("], n = 2 + 2")
