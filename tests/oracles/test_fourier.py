"""Waves: their length, their spectrum and their count; the map of a linear model from the DFT of its weights."""

from math import sqrt

import numpy as np
import pytest
import torch

from oracles.subjects import linear, rand, subject
from pixelprune.draws import Draws
from pixelprune.measures.fourier import Fourier, half_plane, heat, wave, with_wave

SIZES = [(8, 6), (7, 8), (5, 5)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_wave_is_real_of_length_one_and_of_one_frequency(height: int, width: int) -> None:
    for down, right in half_plane(height, width, 1):
        pattern = wave(height, width, down, right)
        assert pattern.dtype == torch.float32 and pattern.shape == (height, width)
        assert float(pattern.norm()) == pytest.approx(1, abs=1e-6)
        spectrum = torch.fft.fft2(pattern.double()).abs()
        there = {(down % height, right % width), (-down % height, -right % width)}
        for place in np.ndindex(height, width):
            expected = sqrt(height * width / len(there)) if place in there else 0
            assert float(spectrum[place]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_half_the_plane_is_all_of_it(height: int, width: int) -> None:
    chosen = half_plane(height, width, 1)
    seen = {((sign * down) % height, (sign * right) % width) for down, right in chosen for sign in (1, -1)}
    assert seen == set(np.ndindex(height, width))
    alone = sum((-down % height, -right % width) == (down % height, right % width) for down, right in chosen)
    assert len(chosen) == (height * width + alone) / 2
    waves = torch.stack([wave(height, width, down, right).flatten() for down, right in chosen])
    torch.testing.assert_close(waves @ waves.T, torch.eye(len(chosen)), atol=1e-5, rtol=0)


def test_a_step_takes_multiples_from_zero_outwards() -> None:
    chosen = half_plane(8, 8, 3)
    assert {abs(number) for pair in chosen for number in pair} == {0, 3}
    assert (0, 0) in chosen and len(chosen) == 5  # 9 places, all but zero in pairs


def test_channels_take_or_give_by_chance_and_images_by_themselves() -> None:
    images, ids, pattern = torch.full((300, 3, 8, 8), 0.5), np.arange(300), 0.5 * wave(8, 8, 1, 2)
    found = with_wave(images, pattern, Draws.of(ids, 0)) - images
    signs = found[:, :, 0, 0] / pattern[0, 0]
    torch.testing.assert_close(found, signs[..., None, None] * pattern, atol=1e-6, rtol=0)
    torch.testing.assert_close(signs.abs(), torch.ones(300, 3))
    assert signs.mean(0).abs().max() < 5 / sqrt(300)
    assert abs(float((signs[:, 0] * signs[:, 1]).mean())) < 5 / sqrt(300)
    alone = with_wave(images[7:8], pattern, Draws.of(ids[7:8], 0)) - images[7:8]
    assert torch.equal(alone, found[7:8])
    assert with_wave(images, 9 * pattern, Draws.of(ids, 0)).aminmax() == (0, 1)


@pytest.mark.parametrize("side", [8, 9])
def test_the_map_of_a_linear_model_is_its_spectrum(side: int) -> None:
    """A wave moves the score by the sum over channels of sign x length x its product with the weights: their DFT."""
    weights = rand(3, side, side, seed=3) - 0.5
    images = 0.5 + 0.1 * (rand(40, 3, side, side, seed=4) - 0.5)
    score = (images * weights).sum((1, 2, 3)) - (0.5 * weights).sum()
    labels = (score > 0).long()
    run = subject(linear(weights, -float((0.5 * weights).sum())), images, labels)
    norm = 4.0
    found = Fourier(name="fourier", norm=norm, step=1)(run)
    length, table = norm * side / 32, found.tables["frequencies"]
    spectrum, draws = torch.fft.fft2(weights.double()), run.draws(run.test, "fourier")
    for number, row in table.iterrows():
        down, right = int(row["down"]), int(row["right"])
        alone = (2 * down) % side == 0 and (2 * right) % side == 0
        product = spectrum[:, down % side, right % side].real * sqrt(1 if alone else 2) / side
        signs = draws.branch(int(str(number))).signs(3, 1, 1).flatten(1).double()
        moved = score.double() + length * (signs * product).sum(1)
        assert moved.abs().min() > 1e-5  # no tie that rounding decides
        assert row["wrong"] == int(((moved > 0).long() != labels).sum())
        assert row["flips"] == row["wrong"] and row["n"] == 40
        assert row["error"] == row["wrong"] / 40
    assert table["wrong"].nunique() > 5
    assert found.summary["clean"]["share"] == 1
    assert found.summary["norm"] == pytest.approx(length)
    assert found.summary["mean error"] == pytest.approx(table["error"].mean())
    assert found.summary["worst"]["error"] == table["error"].max()
    assert sum(band["frequencies"] for band in found.summary["bands"].values()) == len(table)

    picture = found.pictures["heat"]
    assert picture.shape == (side, side) and picture.dtype == np.uint8
    for row in table.to_dict("records"):
        for sign in (1, -1):
            place = (sign * row["down"] + side // 2) % side, (sign * row["right"] + side // 2) % side
            assert picture[place] == round(255 * row["error"])


def test_a_frequency_that_was_left_out_shows_its_nearest() -> None:
    images, labels = rand(6, 3, 8, 8), torch.zeros(6, dtype=torch.int64)
    found = Fourier(name="fourier", step=4)(subject(linear(rand(3, 8, 8) - 0.5), images, labels))
    table = found.tables["frequencies"].assign(error=np.arange(4) / 4)
    picture = heat(table, 8, 8, 4)
    assert table[["down", "right"]].values.tolist() == [[-4, -4], [-4, 0], [0, -4], [0, 0]]
    assert np.unique(picture).tolist() == [0, 64, 128, 191]
    assert picture[4, 4] == picture[5, 5] == picture[3, 3] == 191  # the middle, and next to it
    assert picture[0, 0] == picture[1, 1] == 0


def test_at_most_16_frequencies_a_side_unless_told() -> None:
    images, labels = rand(2, 3, 40, 24), torch.zeros(2, dtype=torch.int64)
    found = Fourier(name="fourier")(subject(linear(rand(3, 40, 24) - 0.5), images, labels))
    assert found.summary["step"] == 3
    assert found.tables["frequencies"]["down"].nunique() <= 16
    assert found.pictures["heat"].shape == (40, 24)
