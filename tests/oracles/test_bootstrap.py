"""The bootstrap against the normal approximation, exact enumeration, and its own promise by simulation."""

from itertools import product

import numpy as np
import pytest

from pixelprune.evaluation.bootstrap import mean_interval


def draws(seed=0):
    return np.random.default_rng(seed)


def test_ungrouped_interval_is_the_normal_one_for_many_images():
    values = draws(1).choice([-1, 0, 1], p=[0.05, 0.8, 0.15], size=2000)
    found = mean_interval(values, np.arange(2000), draws())
    half = 1.959964 * values.std() / np.sqrt(2000)
    assert found.value == values.mean()
    assert found.n == 2000
    assert [found.low, found.high] == pytest.approx(
        [values.mean() - half, values.mean() + half], abs=0.06 * half + 5e-4
    )


def test_equal_groups_are_resampled_whole():
    of_group = draws(2).choice([-1, 0, 1], p=[0.1, 0.6, 0.3], size=400)
    found = mean_interval(np.repeat(of_group, 5), np.repeat(np.arange(400), 5), draws())
    half = 1.959964 * of_group.std() / np.sqrt(400)
    assert [found.low, found.high] == pytest.approx(
        [of_group.mean() - half, of_group.mean() + half], abs=0.08 * half + 2e-3
    )


def test_all_resamples_of_a_tiny_table_are_hit_as_often_as_enumeration_says():
    # Three groups of sizes 1, 2, 1: 27 equally likely draws.
    values, groups = np.array([1.0, 0.0, 1.0, -1.0]), np.array([7, 3, 3, 9])
    parts = {7: [1.0], 3: [0.0, 1.0], 9: [-1.0]}
    means = sorted(np.mean([v for g in draw for v in parts[g]]) for draw in product(parts, repeat=3))
    for level in (0.5, 0.8):
        found = mean_interval(values, groups, draws(), resamples=40_000, level=level)
        expected = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
        assert [found.low, found.high] == pytest.approx(expected)


def test_group_labels_and_the_order_of_images_do_not_matter():
    values, groups = draws(3).normal(size=60), np.repeat(np.arange(20), 3)
    order = draws(4).permutation(60)
    one = mean_interval(values, groups, draws())
    other = mean_interval(values[order], 1000 - groups[order], draws())
    assert [one.low, one.high] == pytest.approx([other.low, other.high], abs=0.04)


def test_same_generator_same_interval():
    values, groups = draws(5).normal(size=30), np.arange(30)
    assert mean_interval(values, groups, draws(1)) == mean_interval(values, groups, draws(1))


def test_one_seed_as_a_table_is_the_ungrouped_case():
    values, groups = draws(6).normal(size=50), np.arange(50)
    assert mean_interval(values, groups, draws()) == mean_interval(values[None], groups, draws())


def test_two_levels_add_the_variance_of_seeds_and_of_images():
    seeds = 40
    of_seed, of_image = draws(7).normal(size=(seeds, 1)) * 0.3, draws(8).normal(size=(1, 500))
    found = mean_interval(of_seed + of_image, np.arange(500), draws())
    half = 1.959964 * np.sqrt(of_seed.var() / seeds + of_image.var() / 500)
    assert found.seeds == seeds
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.05)


def test_more_seeds_of_the_same_images_do_not_shrink_what_the_images_leave_open():
    of_image = draws(9).normal(size=300)
    one = mean_interval(of_image, np.arange(300), draws())
    ten = mean_interval(np.tile(of_image, (10, 1)), np.arange(300), draws())
    assert ten.high - ten.low == pytest.approx(one.high - one.low, rel=0.05)


@pytest.mark.parametrize("size", [1, 4])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(size):
    truth, hits, trials, generator = 0.1, 0, 300, draws(10)
    for _ in range(trials):
        of_group = generator.choice([-1, 0, 1], p=[0.1, 0.7, 0.2], size=150)
        noise = generator.choice([-1, 0, 1], p=[0.1, 0.8, 0.1], size=(150, size))
        values = (of_group[:, None] + noise).ravel()
        found = mean_interval(values, np.repeat(np.arange(150), size), generator, resamples=1000)
        hits += found.low <= truth <= found.high
    assert 0.91 <= hits / trials <= 0.985


def test_memory_stays_bounded_by_working_in_parts(monkeypatch):
    monkeypatch.setattr("pixelprune.evaluation.bootstrap._CELLS", 1000)
    values = draws(11).normal(size=200)
    found = mean_interval(values, np.arange(200), draws(), resamples=2001)
    half = 1.959964 * values.std() / np.sqrt(200)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


@pytest.mark.parametrize(
    ("values", "groups"), [([], []), ([1.0, float("nan")], [0, 1]), ([1.0, 2.0], [0]), (np.ones((1, 1, 2)), [0, 1])]
)
def test_other_shapes_and_nan_are_refused(values, groups):
    with pytest.raises(ValueError, match="needs finite values"):
        mean_interval(np.array(values), np.array(groups), draws())
