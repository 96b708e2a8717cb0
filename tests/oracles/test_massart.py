"""Massart's scheme: its sizes, how often it errs (summed over all paths, and simulated), and its bookkeeping."""

from math import comb

import numpy as np
import pandas
import pytest
import torch

from pixelprune.evaluation.intervals import clopper_pearson
from pixelprune.evaluation.massart import Precision, Trials, needed, over_posterior

SIZES = [
    (Precision(0.075, 0.075, 0.05), 292, 84, 87), (Precision(0.05, 0.05, 0.025), 738, 136, 139),
    (Precision(0.02, 0.05, 0.025), 4612, 348, 351),
]  # fmt: skip


@pytest.mark.parametrize(("precision", "chernoff", "none", "all_of_them"), SIZES)
def test_the_sizes_are_the_known_ones(precision: Precision, chernoff: int, none: int, all_of_them: int) -> None:
    assert precision.chernoff == chernoff
    assert next(n for n in range(1, chernoff) if n >= needed(0, n, precision)) == none
    assert next(n for n in range(1, chernoff) if n >= needed(n, n, precision)) == all_of_them


def test_where_the_interval_holds_a_half_it_is_chernoffs_bound_and_never_more() -> None:
    precision = Precision(0.1, 0.1, 0.05)
    for tried in range(1, precision.chernoff + 1):
        for successes in range(tried + 1):
            low, high = clopper_pearson(successes, tried, 0.95)
            found = needed(successes, tried, precision)
            assert found <= precision.chernoff
            if low < 0.5 <= high:
                assert found == precision.chernoff


@pytest.mark.parametrize("precision", [Precision(0.1, 0.1, 0.05), Precision(0.2, 0.1, 0.02), Precision(0.1, 0.3, 0.2)])
def test_summed_over_all_paths_it_errs_at_most_as_often_as_promised(precision: Precision) -> None:
    shares = np.linspace(0.005, 0.995, 199)
    alive, wrong, ended = np.ones((1, len(shares))), np.zeros(len(shares)), np.zeros(len(shares))
    for tried in range(1, precision.chernoff + 1):
        alive = np.pad(alive * (1 - shares), ((0, 1), (0, 0))) + np.pad(alive * shares, ((1, 0), (0, 0)))
        for successes in range(tried + 1):
            if tried >= needed(successes, tried, precision):
                wrong += alive[successes] * (np.abs(successes / tried - shares) > precision.gamma + 1e-12)
                ended += alive[successes]
                alive[successes] = 0
    np.testing.assert_allclose(ended, 1)
    assert 0 < wrong.max() <= precision.delta


def test_of_a_thousand_simulated_networks_at_most_delta_are_off_by_more_than_gamma() -> None:
    precision, networks = Precision(), 1000
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=networks)
    outcomes = torch.from_numpy(rng.uniform(size=(precision.chernoff, networks)) < truth)
    table = over_posterior(lambda number, index: outcomes[number, index], networks, precision)
    wrong = int((np.abs(table["probability"] - truth) > precision.gamma + 1e-12).sum())
    chance = [comb(networks, k) * precision.delta**k * (1 - precision.delta) ** (networks - k) for k in range(networks)]
    assert sum(chance[wrong:]) > 0.01  # no more than delta explains
    assert table["known"].all()
    assert (table["samples"] + table["saved"] == precision.chernoff).all()
    sure = (truth < 0.02) | (truth > 0.98)
    assert table["samples"][sure].max() < 150 < table["samples"][np.abs(truth - 0.5) < 0.1].min()


def test_each_image_stops_by_itself_and_is_asked_for_no_more() -> None:
    asked: list[torch.Tensor] = []

    def event(number: int, index: torch.Tensor) -> torch.Tensor:
        asked.append(index)
        return torch.stack([torch.zeros(()), torch.ones(()), torch.tensor(float(number % 2))])[index].bool()

    table = over_posterior(event, 3, Precision())
    assert [sum(image in index for index in asked) for image in range(3)] == [84, 87, 292]
    expected = pandas.DataFrame({
        "image": [0, 1, 2], "probability": [0, 1, 0.5], "low": [0, 0.925, 0.425], "high": [0.075, 1, 0.575],
        "known": True, "samples": [84, 87, 292], "saved": [208, 205, 0],
    })  # fmt: skip
    pandas.testing.assert_frame_equal(table, expected, check_dtype=False)


def test_draws_that_ran_out_leave_the_exact_interval() -> None:
    trials = Trials(1, Precision())
    for number in range(20):
        trials.see(torch.zeros(1, dtype=torch.int64), torch.tensor([number < 15]))
    (row,) = trials.table().to_dict("records")
    assert trials.going.tolist() == [0]
    assert (row["low"], row["high"]) == clopper_pearson(15, 20, 1 - 0.075)
    assert (row["probability"], row["known"], row["samples"], row["saved"]) == (0.75, False, 20, 0)


@pytest.mark.parametrize("wrong", [{"alpha": 0.1}, {"gamma": 0.0}, {"delta": 1.0}, {"alpha": 0.0}])
def test_impossible_promises_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="alpha < delta"):
        Precision(**wrong)
