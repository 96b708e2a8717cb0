"""Draws belong to a seed and an image: not to a batch, an order, a process or the global generators."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from pixelprune import sampling

IDS = np.array([7, 3, 11, 2_000_000_000_000])


def test_draws_of_an_image_do_not_depend_on_its_batch():
    whole = sampling.uniform_per_image(IDS, (4, 5), 0, "shift")
    assert whole.shape == (4, 4, 5)
    assert whole.dtype == np.float32
    assert whole.min() >= 0
    assert whole.max() < 1
    for row, image in zip(whole, IDS, strict=True):
        assert np.array_equal(sampling.uniform_per_image(np.array([image]), (4, 5), 0, "shift")[0], row)
    assert np.array_equal(sampling.uniform_per_image(IDS[::-1], (4, 5), 0, "shift"), whole[::-1])
    assert sampling.uniform_per_image(IDS[:0], (4, 5), 0).shape == (0, 4, 5)


def test_every_word_matters():
    words = [(0,), (1,), (0, "a"), (0, "b"), ("a", 0), (0, 0), (0, "a", 0), (-1,), (2**64 - 1,), (2**32,), ("0",)]
    first = [sampling.numpy_generator(*own).random() for own in words]
    assert len(set(first)) == len(words)
    assert len({sampling.torch_generator(*own).initial_seed() for own in words}) == len(words)


def test_another_process_draws_the_same():
    """The hash of a string differs from process to process; ours does not."""
    script = (
        "from pixelprune import sampling as s; import torch;"
        "print(s.numpy_generator(3, 'x').random(), torch.rand(1, generator=s.torch_generator(3, 'x')).item())"
    )
    drawn = torch.rand(1, generator=sampling.torch_generator(3, "x")).item()
    here = f"{sampling.numpy_generator(3, 'x').random()} {drawn}"
    there = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_the_global_generators_are_left_alone():
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    sampling.uniform_per_image(IDS, (2,), 0)
    torch.rand(3, generator=sampling.torch_generator(1))
    sampling.stratified(np.zeros(9, int), 3, sampling.numpy_generator(0))
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_draws_are_uniform():
    draws = sampling.uniform_per_image(np.arange(2000), (8,), 5, "check")
    counts = np.histogram(draws, bins=10, range=(0, 1))[0]
    chi_square = ((counts - 1600) ** 2 / 1600).sum()
    assert chi_square < 27.9  # 9 degrees of freedom, p = 0.001
    assert abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.08


@pytest.mark.parametrize("count", [1, 7, 10, 33, 99, 100, 150])
def test_a_stratified_choice_keeps_the_shares(count):
    labels = np.repeat([0, 1, 2, 3], [50, 30, 15, 5])
    chosen = sampling.stratified(labels, count, sampling.numpy_generator(0))
    assert len(chosen) == min(count, 100) == len(np.unique(chosen))
    assert np.array_equal(chosen, np.sort(chosen))
    shares = np.bincount(labels[chosen], minlength=4) - len(chosen) * np.array([0.5, 0.3, 0.15, 0.05])
    assert np.abs(shares).max() <= 1


def test_a_stratified_choice_is_a_draw():
    labels = np.repeat([0, 1], 500)
    one, two = (sampling.stratified(labels, 100, sampling.numpy_generator(seed)) for seed in (0, 1))
    assert not np.array_equal(one, two)
    assert np.array_equal(one, sampling.stratified(labels, 100, sampling.numpy_generator(0)))
    hits = np.bincount(
        np.concatenate([sampling.stratified(labels, 100, sampling.numpy_generator(seed)) for seed in range(200)]),
        minlength=1000,
    )
    assert hits.min() >= 4  # mean 20, standard deviation 4.2
    assert hits.max() <= 42
