"""Intervals and Holm against enumeration, published values and a worked example."""

from math import comb

import numpy as np
import pytest

from pixelprune.evaluation.holm import holm
from pixelprune.evaluation.intervals import Estimate, Rate, clopper_pearson, points


def tail_at_least(successes, n, share):
    return sum(comb(n, i) * share**i * (1 - share) ** (n - i) for i in range(successes, n + 1))


def root(rises, goal):
    """Where a rising function on [0, 1] meets its goal, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if rises(middle) < goal else (low, middle)
    return low


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 12, 20])
def test_clopper_pearson_inverts_the_exact_binomial_tails(n, level):
    tail = (1 - level) / 2
    for s in range(n + 1):
        low, high = clopper_pearson(s, n, level)
        assert low == pytest.approx(root(lambda p, s=s: tail_at_least(s, n, p), tail) if s else 0, abs=1e-9)
        assert high == pytest.approx(
            root(lambda p, s=s: tail_at_least(s + 1, n, p), 1 - tail) if s < n else 1, abs=1e-9
        )


@pytest.mark.parametrize("n", [5, 13, 20])
def test_clopper_pearson_covers_every_true_share_at_least_as_often_as_it_says(n):
    bounds = [clopper_pearson(s, n) for s in range(n + 1)]
    for share in np.linspace(0, 1, 101):
        covered = sum(
            comb(n, s) * share**s * (1 - share) ** (n - s)
            for s, (low, high) in enumerate(bounds)
            if low <= share <= high
        )
        assert covered >= 0.95 - 1e-12


@pytest.mark.parametrize(
    ("s", "n", "low", "high"),
    [(500, 1000, 46.85, 53.15), (5000, 10_000, 49.02, 50.98), (200, 256, 72.55, 83.03), (0, 1000, 0.0, 0.37)],
)
def test_clopper_pearson_gives_the_known_values(s, n, low, high):
    assert [round(100 * bound, 2) for bound in clopper_pearson(s, n)] == [low, high]


@pytest.mark.parametrize(("s", "n"), [(-1, 3), (4, 3), (0, 0)])
def test_impossible_counts_are_refused(s, n):
    with pytest.raises(ValueError, match="successes"):
        clopper_pearson(s, n)
    with pytest.raises(ValueError, match="successes"):
        Rate(s, n)


def test_a_rate_is_printed_with_its_interval_and_n():
    assert str(Rate(500, 1000)) == "50.0 % [46.9, 53.1], n = 1000"
    assert Rate(1, 4).share == 0.25


def test_a_difference_is_printed_with_sign_interval_and_n():
    assert str(Estimate(0.032, 0.01, 0.054, 500)) == "+3.2 pt [+1.0, +5.4], n = 500"
    assert str(Estimate(-0.032, -0.054, -0.01, 500, 3)) == "-3.2 pt [-5.4, -1.0], n = 500 x 3 seeds"
    assert [points(0.0), points(-0.0001), points(0.0001)] == ["0.0", "0.0", "0.0"]


@pytest.mark.parametrize(
    ("low", "high", "excludes"), [(0.01, 0.2, True), (-0.2, -0.01, True), (0, 0.2, False), (-1, 1, False)]
)
def test_an_interval_that_touches_zero_does_not_exclude_it(low, high, excludes):
    assert Estimate(0.1, low, high, 10).excludes_zero is excludes


def test_holm_worked_example():
    # .01*4, .02*3, .03*2 (raised to .06), .04*1 (raised to .06), in another order
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.05 / 15] + [0.9] * 14)[0] == pytest.approx(0.05)
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


def test_holm_rejects_what_the_step_down_procedure_rejects():
    draws = np.random.default_rng(0)
    for _ in range(200):
        p = draws.random(draws.integers(1, 8)) ** 3
        rejected = set()
        for step, index in enumerate(np.argsort(p)):
            if p[index] > 0.05 / (len(p) - step):
                break
            rejected.add(int(index))
        assert set(np.flatnonzero(holm(p) <= 0.05).tolist()) == rejected


@pytest.mark.parametrize("bad", [[-0.1], [1.1], [float("nan")]])
def test_holm_refuses_what_is_no_p_value(bad):
    with pytest.raises(ValueError, match="p values"):
        holm(bad)
