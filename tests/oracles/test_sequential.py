"""Stopping early, against exact enumeration of every order of the images and by simulation over the true share."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

from pixelprune.evaluation.sequential import enough, interval


def hypergeometric(successes, tried, robust, total):
    return comb(robust, successes) * comb(total - robust, tried - successes) / comb(total, tried)


@pytest.mark.parametrize("total", [1, 2, 7, 20])
@pytest.mark.parametrize("delta", [0.0501, 0.2003])  # not on a tie, which rounding would break
def test_the_interval_holds_what_the_ratio_of_prior_and_posterior_leaves(total, delta):
    for tried in range(total + 1):
        for successes in range(tried + 1):
            weight = [hypergeometric(successes, tried, robust, total) for robust in range(total + 1)]
            posterior = np.array(weight) / sum(weight)  # the prior is 1 / (total + 1) everywhere
            left = [robust for robust in range(total + 1) if 1 / (total + 1) < posterior[robust] / delta]
            low, high = interval(successes, tried, total, delta)
            assert (low, high) == pytest.approx((left[0] / total, left[-1] / total))
            assert left == list(range(left[0], left[-1] + 1)), "not an interval"


@pytest.mark.parametrize("delta", [0.05, 0.3])
def test_of_every_order_of_the_images_at_most_delta_ever_leave_the_interval(delta):
    total = 10
    bounds = {(s, tried): interval(s, tried, total, delta) for tried in range(1, total + 1) for s in range(tried + 1)}
    for robust in range(total + 1):
        orders = list(combinations(range(total), robust))
        outside = 0
        for order in orders:
            seen = np.cumsum(np.isin(np.arange(total), order))
            path = [bounds[int(count), tried] for tried, count in enumerate(seen, 1)]
            outside += any(not low <= robust / total <= high for low, high in path)
        assert outside <= delta * len(orders)


def test_stops_early_and_is_right_as_often_as_it_says():
    """Over true shares from .01 to .99; looked at after every 20 of 300 images."""
    total, gamma, delta, runs = 300, 0.08, 0.1, 100
    rng = np.random.default_rng(0)
    known = {}
    for share in np.linspace(0.01, 0.99, 9):
        robust = round(share * total)
        orders = rng.permuted(np.tile(np.arange(total) < robust, (runs, 1)), axis=1).cumsum(1)
        missed, stops = 0, []
        for seen in orders:
            for tried in range(20, total + 1, 20):
                state = int(seen[tried - 1]), tried
                if state not in known:
                    known[state] = enough(*state, total, gamma, delta)
                if known[state]:
                    break
            missed += abs(state[0] / tried - robust / total) > gamma
            stops.append(tried)
        assert missed <= delta * runs
        assert np.mean(stops) < (0.9 if 0.1 < share < 0.9 else 0.5) * total


def test_one_image_is_never_enough_and_all_of_them_always_are():
    assert not enough(0, 0, 100, gamma=0.5)
    assert not enough(1, 1, 100, gamma=0.5)
    assert enough(37, 100, 100, gamma=0.0)
    assert interval(37, 100, 100) == (0.37, 0.37)
    assert interval(0, 0, 100) == (0.0, 1.0)


@pytest.mark.parametrize("state", [(-1, 3, 9), (4, 3, 9), (1, 10, 9), (0, 0, 0)])
def test_impossible_counts_are_refused(state):
    with pytest.raises(ValueError, match="successes"):
        interval(*state)
