"""The filters against single waves, a Gaussian in space and themselves; the numbers of the sweep in closed form."""

from math import pi
from typing import get_args

import numpy as np
import pytest
import scipy.ndimage
import torch
from pydantic import ValidationError
from torch import Tensor

from oracles.subjects import Told, linear, rand, subject
from pixelprune.measures.filters import Shape, high_passed, low_passed
from pixelprune.measures.low_pass import LowPass, area, half

SIZES = [(32, 32), (24, 40), (15, 9)]


def single(height: int, width: int, down: int, right: int, phase: float = 0.4) -> Tensor:
    rows, columns = torch.arange(height).double()[:, None] / height, torch.arange(width).double() / width
    return torch.cos(2 * pi * (down * rows + right * columns) + phase).float().expand(2, 3, height, width)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96)])
@pytest.mark.parametrize(("down", "right"), [(0, 5), (3, 4), (-4, 3), (6, 0)])
def test_an_ideal_filter_keeps_a_wave_or_takes_it_away(height: int, width: int, down: int, right: int) -> None:
    image = single(height, width, down, right)
    radius = 32 * np.hypot(down / height, right / width)
    torch.testing.assert_close(low_passed(image, radius + 0.01, "ideal"), image, atol=1e-6, rtol=0)
    torch.testing.assert_close(low_passed(image, radius, "ideal"), image, atol=1e-6, rtol=0)
    assert low_passed(image, radius - 0.01, "ideal").abs().max() < 1e-6


@pytest.mark.parametrize(("down", "right"), [(0, 5), (-4, 3), (6, 0)])
def test_a_gaussian_filter_weakens_a_wave_by_its_formula(down: int, right: int) -> None:
    image = single(32, 32, down, right)
    weight = np.exp(-(down**2 + right**2) / (2 * 7.0**2))
    torch.testing.assert_close(low_passed(image, 7.0, "gaussian"), weight * image, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_full_radius_keeps_everything(height: int, width: int) -> None:
    images = rand(2, 3, height, width)
    torch.testing.assert_close(low_passed(images, 22.7, "ideal"), images, atol=1e-6, rtol=0)
    assert (low_passed(images, 12, "ideal") - images).abs().max() > 0.01


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("shape", get_args(Shape))
def test_low_and_high_add_up_and_the_mean_is_low(height: int, width: int, shape: Shape) -> None:
    images = rand(2, 3, height, width)
    low, high = (passed(images, 5, shape) for passed in (low_passed, high_passed))
    torch.testing.assert_close(low + high, images, atol=1e-6, rtol=0)
    torch.testing.assert_close(low.mean((2, 3)), images.mean((2, 3)), atol=1e-6, rtol=0)
    assert low.isfinite().all() and not torch.equal(low, images)


@pytest.mark.parametrize("radius", [2.5, 4.0])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 48)])
def test_the_gaussian_filter_is_a_gaussian_in_space(radius: float, height: int, width: int) -> None:
    """The transform of exp(-r**2 / (2 radius**2)), r in cycles per 32 pixels, has sigma 32 / (2 pi radius) pixels."""
    images = rand(1, 3, height, width)
    sigma = 32 / (2 * pi * radius)
    expected = scipy.ndimage.gaussian_filter(images.double().numpy(), (0, 0, sigma, sigma), mode="wrap", truncate=7)
    assert np.abs(low_passed(images, radius, "gaussian").numpy() - expected).max() < 2e-4


RADII = (2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0)


def test_the_area_under_a_step_and_under_a_constant() -> None:
    step = np.array([radius >= 8 for radius in RADII], np.float64)
    assert area(RADII, step) == pytest.approx((1 + 8) / 14)  # half a trapezoid from 6 to 8, then 8 to 16
    assert area(RADII, np.full(8, 0.3)) == pytest.approx(0.3)
    assert area((1.0, 2.0, 10.0), np.array([0.0, 1.0, 1.0])) == pytest.approx(8.5 / 9)
    both = area(RADII, np.stack([step, np.ones(8)], 1))
    np.testing.assert_allclose(both, [9 / 14, 1])


def test_half_of_the_clean_accuracy_above_chance() -> None:
    curve = np.array([0.1, 0.2, 0.5, 0.5, 0.8, 0.9, 0.9, 0.9])
    assert half(RADII, curve, clean=0.9, chance=0.1) == 6  # from 0.5 on
    assert half(RADII, curve, clean=0.92, chance=0.1) == 10
    assert half(RADII, curve, clean=0.1, chance=0.0) == 2
    assert half(RADII, np.full(8, 0.1), clean=0.9, chance=0.1) is None
    assert half(RADII, curve, clean=0.1, chance=0.1) is None  # a model that knows nothing


def test_a_model_of_one_wave_needs_that_wave() -> None:
    """Class 1 where a wave of 5 cycles stands upright; without it the logits tie, which is class 0."""
    wave = single(32, 32, 3, 4, 0)[:1]
    labels = torch.arange(20) % 2
    images = 0.5 + 0.2 * (2 * labels - 1).view(-1, 1, 1, 1) * wave
    rounded = Told(lambda pictures: linear(wave[0])(pictures - 0.5).round(decimals=2))
    found = LowPass(name="low_pass")(subject(rounded, images, labels)).summary
    assert found["clean"] == {"share": 1.0, "low": pytest.approx(0.832, abs=1e-3), "high": 1.0, "n": 20}
    assert found["chance"] == 0.5
    ideal = found["ideal"]
    assert [ideal["low"][f"{radius:g}"]["share"] for radius in RADII] == [0.5, 0.5, 1, 1, 1, 1, 1, 1]
    assert [ideal["high"][f"{radius:g}"]["share"] for radius in RADII] == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert ideal["rho50"] == 6
    assert ideal["lp_auc"]["share"] == pytest.approx((0.5 * 2 + 0.75 * 2 + 1 * 10) / 14)
    assert ideal["lp_auc"]["n"] == 20
    assert found["gaussian"]["rho50"] == 2  # weakened, and still there


def test_rows_are_what_the_model_says_to_each_filtered_image() -> None:
    images, labels = rand(7, 3, 16, 16), torch.arange(7) % 2
    network = linear(rand(3, 16, 16, seed=1) - 0.5)
    found = LowPass(name="low_pass", radii=(3.0, 9.0), images=6)(subject(network, images, labels))
    rows = found.tables["rows"]
    assert len(rows) == 6 * (1 + 2 * 2 * 2)
    for key, part in rows.groupby(["filter", "band", "radius"]):
        shape, band, radius = key
        for position in range(6):
            image = images[position : position + 1]
            if band == "low":
                image = low_passed(image, radius, shape).clamp(0, 1)
            elif band == "high":
                image = (high_passed(image, radius, shape) + image.mean((2, 3), keepdim=True)).clamp(0, 1)
            row = part.iloc[position]
            assert (row["image"], row["label"]) == (3 * position + 1, labels[position])
            assert row["pred"] == network(image).argmax().item()
    share = (rows["pred"] == rows["label"])[(rows["filter"] == "gaussian") & (rows["radius"] == 3)][:6].mean()
    assert found.summary["gaussian"]["low"]["3"]["share"] == pytest.approx(share)
    assert found.pictures["filtered"].shape == (4 * 16, 2 * 16, 3)


@pytest.mark.parametrize("radii", [(4.0,), (4.0, 4.0), (6.0, 4.0), (0.0, 4.0), (4.0, 30.0)])
def test_radii_ascend_from_above_zero(radii: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        LowPass(name="low_pass", radii=radii)
