"""Corruptions against closed forms, brute force and independent implementations."""

import colorsys
import dataclasses
import math

import cv2
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch

from pixelprune.corruptions.blur import defocus_blur, disk, gaussian_blur
from pixelprune.corruptions.corruption import Draws
from pixelprune.corruptions.digital import jpeg, pixelate
from pixelprune.corruptions.elastic import elastic
from pixelprune.corruptions.frost import COLOR, CONTRAST, RANGE, SECTOR, crystals, frost, ice
from pixelprune.corruptions.glass import glass_blur
from pixelprune.corruptions.light import brightness, contrast, saturate
from pixelprune.corruptions.motion import motion_blur, streak, zoom_blur
from pixelprune.corruptions.noise import gaussian_noise, impulse_noise, shot_noise, speckle_noise
from pixelprune.corruptions.plasma import plasma
from pixelprune.corruptions.resampling import zoom
from pixelprune.corruptions.spatter import BROWN, TURQUOISE, smoothed, spatter, water
from pixelprune.corruptions.weather import fog, snow

SEVERITIES = (1, 2, 3, 4, 5)
IDS = np.arange(40)


def levels(*values):
    """The published parameter of each severity."""
    return list(zip(SEVERITIES, values, strict=True))


def flat(value, count=40):
    return torch.full((count, 3, 32, 32), value)


def random_images(count=2, height=32, width=32):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(9))


def point(height=33, width=33):
    """One white pixel in the middle of black: a filter shows its kernel, turned by half a circle."""
    images = torch.zeros(1, 3, height, width)
    images[:, :, height // 2, width // 2] = 1
    return images


# Noise: 40 x 3072 values give the standard deviation to 0.2 % (one standard error).


@pytest.mark.parametrize(("severity", "sigma"), levels(0.04, 0.06, 0.08, 0.09, 0.10))
def test_gaussian_noise_is_normal_with_the_sigma_of_the_table(severity, sigma):
    noise = (gaussian_noise(flat(0.5), severity, IDS, 0) - 0.5).numpy().ravel()
    assert np.mean(noise) == pytest.approx(0, abs=4 * sigma / math.sqrt(noise.size))
    # 0.5 is at least 5 sigma from 0 and 1: nothing is clipped that could be seen.
    assert np.std(noise) == pytest.approx(sigma, rel=0.01)
    assert scipy.stats.kstest(noise / sigma, "norm").pvalue > 1e-4


@pytest.mark.parametrize(("severity", "sigma"), levels(0.06, 0.1, 0.12, 0.16, 0.2))
def test_speckle_noise_grows_with_the_value(severity, sigma):
    for value in (0.1, 0.4):
        noise = (speckle_noise(flat(value), severity, IDS, 0) - value).numpy()
        assert np.std(noise) == pytest.approx(sigma * value, rel=0.01)
    assert torch.equal(speckle_noise(flat(0.0), severity, IDS, 0), flat(0.0))


@pytest.mark.parametrize("value", [0.02, 0.3])
@pytest.mark.parametrize(("severity", "photons"), levels(500, 250, 100, 75, 50))
def test_shot_noise_is_poisson(severity, photons, value):
    counts = (shot_noise(flat(value), severity, IDS, 0).numpy() * photons).ravel()
    assert np.abs(counts - np.rint(counts)).max() < 1e-3
    mean = photons * value
    assert np.mean(counts) == pytest.approx(mean, abs=5 * math.sqrt(mean / counts.size))
    assert np.var(counts) == pytest.approx(mean, rel=0.03)
    largest = int(scipy.stats.poisson.ppf(0.9999, mean))
    found = np.array([(np.rint(counts) == count).mean() for count in range(largest)])
    assert np.abs(found - scipy.stats.poisson.pmf(np.arange(largest), mean)).max() < 0.01


@pytest.mark.parametrize(("severity", "share"), levels(0.01, 0.02, 0.03, 0.05, 0.07))
def test_impulse_noise_sets_its_share_half_to_black_and_half_to_white(severity, share):
    result = impulse_noise(flat(0.5), severity, IDS, 0)
    error = 5 * math.sqrt(share / result.numel())
    assert (result == 0).float().mean().item() == pytest.approx(share / 2, abs=error)
    assert (result == 1).float().mean().item() == pytest.approx(share / 2, abs=error)
    assert ((result == 0) | (result == 1) | (result == 0.5)).all()


def test_severities_share_their_noise():
    grey = flat(0.5)
    noise = [gaussian_noise(grey, severity, IDS, 0) - 0.5 for severity in (1, 5)]
    torch.testing.assert_close(noise[0] * 2.5, noise[1], atol=2e-6, rtol=0)
    hit = [impulse_noise(grey, severity, IDS, 0) != 0.5 for severity in (1, 5)]
    assert (hit[0] <= hit[1]).all()


# Light: pixel by pixel through the standard library.


def by_pixel(images, change):
    """`change` on (hue, saturation, value) of every pixel."""
    result = np.empty_like(images.numpy())
    for image, row, column in np.ndindex(len(images), *images.shape[2:]):
        red, green, blue = images[image, :, row, column].tolist()
        result[image, :, row, column] = colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(red, green, blue)))
    return torch.from_numpy(result)


def colors():
    """Random colours, greys, black, white and the pure ones."""
    images = random_images(1, 16, 16)
    images[0, :, 0] = torch.linspace(0, 1, 16)
    images[0, :, 1, :8] = torch.tensor([[0.0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 0, 1, 0, 1, 0, 1]])
    return images


@pytest.mark.parametrize(("severity", "amount"), levels(0.05, 0.1, 0.15, 0.2, 0.3))
def test_brightness_adds_to_the_value(severity, amount):
    expected = by_pixel(colors(), lambda hue, saturation, value: (hue, saturation, min(1, value + amount)))
    torch.testing.assert_close(brightness(colors(), severity, IDS[:1], 0), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("severity", "factor", "summand"), [(1, 0.3, 0), (2, 0.1, 0), (3, 1.5, 0), (4, 2, 0.1), (5, 2.5, 0.2)]
)
def test_saturate_scales_the_saturation(severity, factor, summand):
    expected = by_pixel(colors(), lambda hue, saturation, value: (hue, min(1, saturation * factor + summand), value))
    torch.testing.assert_close(saturate(colors(), severity, IDS[:1], 0), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("severity", "share"), levels(0.75, 0.5, 0.4, 0.3, 0.15))
def test_contrast_scales_the_distance_to_each_channels_mean(severity, share):
    images = random_images()
    result = contrast(images, severity, IDS[:2], 0)
    for image, channel in np.ndindex(2, 3):
        values = images[image, channel].numpy().astype(np.float64)
        expected = np.clip(values.mean() + share * (values - values.mean()), 0, 1)
        assert np.abs(result[image, channel].numpy() - expected).max() < 1e-6


# Blur.


@pytest.mark.parametrize("size", [32, 48])
@pytest.mark.parametrize(("severity", "sigma"), levels(0.4, 0.6, 0.7, 0.8, 1.0))
def test_gaussian_blur_is_that_of_scipy(severity, sigma, size):
    images = random_images(2, size, size)
    expected = scipy.ndimage.gaussian_filter(
        images.numpy(), (0, 0, sigma * size / 32, sigma * size / 32), mode="nearest"
    )
    assert np.abs(gaussian_blur(images, severity, IDS[:2], 0).numpy() - expected).max() < 1e-6


@pytest.mark.parametrize("level", defocus_blur.levels)
@pytest.mark.parametrize("scale", [1, 1.5, 7])
def test_the_defocus_kernel_is_a_symmetric_mean(level, scale):
    kernel = disk(level[0] * scale, level[1] * scale, math.ceil(scale))
    assert kernel.sum().item() == pytest.approx(1, abs=1e-6)
    assert (kernel >= 0).all()
    for turned in (kernel.T, kernel.flip(0), kernel.flip(1)):
        torch.testing.assert_close(kernel, turned)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_defocus_blur_is_opencvs_filter_away_from_the_edge(severity):
    radius, softness = defocus_blur.levels[severity - 1]
    offsets = np.arange(-8, 9)
    inside = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.float32)
    kernel = cv2.GaussianBlur(inside / inside.sum(), (3, 3), sigmaX=softness)
    images = random_images()
    result = defocus_blur(images, severity, IDS[:2], 0)
    for image, channel in np.ndindex(2, 3):
        expected = cv2.filter2D(images[image, channel].numpy(), -1, kernel)
        assert np.abs(result[image, channel].numpy() - expected)[3:-3, 3:-3].max() < 1e-5


@pytest.mark.parametrize(
    "corruption", [gaussian_blur, defocus_blur, motion_blur, zoom_blur, glass_blur, elastic, pixelate]
)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_what_moves_pixels_leaves_one_color_alone(corruption, severity):
    for value in (0.0, 0.3, 1.0):
        result = corruption(flat(value, 3), severity, IDS[:3], 0)
        torch.testing.assert_close(result, flat(value, 3), atol=1e-6, rtol=0)


def test_a_streak_along_the_row_is_half_a_gaussian():
    sigma, radius = 1.5, 6
    weights = np.exp(-(np.arange(13) ** 2) / (2 * sigma**2))
    result = streak(point(), radius, sigma, torch.zeros(1))[0, 0].numpy()
    assert np.abs(result[16, 16::-1][:13] - weights / weights.sum()).max() < 1e-6
    assert np.abs(np.delete(result, 16, axis=0)).max() < 1e-6
    down = streak(point(), radius, sigma, torch.full((1,), math.pi / 2))[0, 0].numpy()
    assert np.abs(down.T - result).max() < 1e-5


def test_motion_blur_has_angles_within_45_degrees_of_the_row():
    images = point().expand(200, -1, -1, -1).contiguous()
    result = motion_blur(images, 5, np.arange(200), 0)[:, 0]
    offsets = torch.arange(33.0) - 16
    row = (result * offsets.view(1, -1, 1)).sum((1, 2))
    column = (result * offsets.view(1, 1, -1)).sum((1, 2))
    degrees = np.degrees(np.arctan2(row.numpy(), column.numpy()) + np.pi)
    degrees = (degrees + 180) % 360 - 180
    assert np.abs(degrees).max() < 46
    assert scipy.stats.kstest(degrees, "uniform", args=(-45, 90)).pvalue > 1e-4


def test_zoom_is_opencvs_affine_map_about_the_centre():
    images = random_images(1)
    for factor in (1.0, 1.13, 2.0):
        offset = 15.5 * (1 - factor)
        matrix = np.array([[factor, 0, offset], [0, factor, offset]])
        pixels = images[0].permute(1, 2, 0).numpy()
        expected = cv2.warpAffine(pixels, matrix, (32, 32), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        found = zoom(images, factor)[0].permute(1, 2, 0).numpy()
        # OpenCV may round positions to 1/32 pixel, which moves values by at most that share of the range.
        assert np.abs(found - expected).max() < 1 / 32


@pytest.mark.parametrize(("severity", "steps"), levels(5, 10, 15, 20, 25))
def test_zoom_blur_on_a_slope_has_a_closed_form(severity, steps):
    slope = (torch.arange(32) / 31).expand(1, 3, 32, 32)
    shrink = (1 + sum(1 / (1 + step / 100) for step in range(steps + 1))) / (steps + 2)
    expected = 0.5 + (slope - 0.5) * shrink
    torch.testing.assert_close(zoom_blur(slope, severity, IDS[:1], 0), expected, atol=1e-6, rtol=0)


def test_glass_blur_takes_each_pixel_from_its_neighbourhood():
    # Values that tell the place; sigma 0.05 does not blur.
    images = (torch.arange(32 * 32).view(1, 1, 32, 32) / 1023).expand(30, -1, -1, -1).contiguous()
    places = (glass_blur(images, 1, np.arange(30), 0)[:, 0] * 1023).round().long()
    rows, columns = places // 32 - torch.arange(32)[:, None], places % 32 - torch.arange(32)
    steps = {(int(row), int(column)) for row, column in zip(rows.flatten(), columns.flatten())}
    assert steps == {(0, 0), (0, -1), (-1, 0), (-1, -1)}
    for step in steps:
        hit = ((rows == step[0]) & (columns == step[1]))[:, 1:, 1:]
        assert hit.float().mean().item() == pytest.approx(0.25, abs=0.02)


# Digital.


def box_and_back(channel, small):
    """A small pixel is the mean of the pixels whose centre lies in it; every pixel shows the small one it lies in."""
    side = len(channel)
    lies_in = [int((place + 0.5) * small / side) for place in range(side)]
    result = np.empty_like(channel)
    for row, column in np.ndindex(side, side):
        members = [
            channel[other_row, other_column]
            for other_row in range(side)
            for other_column in range(side)
            if lies_in[other_row] == lies_in[row] and lies_in[other_column] == lies_in[column]
        ]
        result[row, column] = np.mean(members)
    return result


@pytest.mark.parametrize(("severity", "small"), levels(30, 28, 27, 24, 20))
def test_pixelate_is_a_box_filter_by_brute_force(severity, small):
    images = random_images(1)
    found = pixelate(images, severity, IDS[:1], 0)[0, 0].numpy()
    assert np.abs(found - box_and_back(images[0, 0].numpy().astype(np.float64), small)).max() < 1e-6
    assert len(np.unique(found, axis=0)) == small


@pytest.mark.parametrize("size", [32, 48])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_pixelate_is_pillows_box_filter(severity, size):
    image_module = pytest.importorskip("PIL.Image")
    small = int(size * pixelate.levels[severity - 1])
    images = random_images(1, size, size)
    picture = image_module.fromarray(images[0, 0].numpy(), mode="F")
    box = image_module.Resampling.BOX
    expected = np.asarray(picture.resize((small, small), box).resize((size, size), box))
    assert np.abs(pixelate(images, severity, IDS[:1], 0)[0, 0].numpy() - expected).max() < 1e-6


@pytest.mark.parametrize(("severity", "quality"), levels(80, 65, 58, 50, 40))
def test_jpeg_is_pillows_up_to_the_decoder(severity, quality, tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    smooth = torch.nn.functional.interpolate(random_images(1, 6, 6), (32, 32), mode="bilinear")
    pixels = (smooth[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    image_module.fromarray(pixels).save(tmp_path / "x.jpg", quality=quality, subsampling="4:2:0")
    expected = np.asarray(image_module.open(tmp_path / "x.jpg")).astype(np.float64) / 255
    found = jpeg(smooth, severity, IDS[:1], 0)[0].permute(1, 2, 0).numpy()
    assert np.abs(found - expected).mean() < 1 / 255
    assert np.abs(found * 255 - np.rint(found * 255)).max() < 1e-4


# Weather and rubber.


def test_plasma_is_diamond_square_by_brute_force():
    side, decay = 8, 1.75
    draws = Draws("fog", IDS[:3], 3, torch.device("cpu"))
    found = plasma(side, side, decay, draws)
    for image in range(3):
        height, step, amplitude = np.zeros((side, side)), side, 1.0
        while step > 1:
            half = step // 2
            noise = amplitude * (2 * draws.uniform(f"plasma {step}", 3, side // step, side // step)[image].numpy() - 1)
            squares = [(row, column) for row in range(0, side, step) for column in range(0, side, step)]
            for row, column in squares:
                around = [height[(row + i) % side, (column + j) % side] for i in (0, step) for j in (0, step)]
                height[row + half, column + half] = np.mean(around) + noise[0, row // step, column // step]
            for kind, down, right in ((1, 0, half), (2, half, 0)):
                for row, column in squares:
                    at = (row + down, column + right)
                    around = [
                        height[(at[0] + i) % side, (at[1] + j) % side]
                        for i, j in ((half, 0), (-half, 0), (0, half), (0, -half))
                    ]
                    height[at] = np.mean(around) + noise[kind, row // step, column // step]
            step, amplitude = half, amplitude / decay**2
        expected = (height - height.min()) / (height.max() - height.min())
        assert np.abs(found[image].numpy() - expected).max() < 1e-5


def test_plasma_of_another_size_is_cut_from_the_next_power_of_two():
    draws = Draws("fog", IDS[:3], 3, torch.device("cpu"))
    assert torch.equal(plasma(20, 28, 3.0, draws), plasma(32, 32, 3.0, draws)[:, :20, :28])


@pytest.mark.parametrize(("severity", "amount"), levels(0.2, 0.5, 0.75, 1.0, 1.5))
def test_fog_on_one_color_spans_what_its_formula_gives(severity, amount):
    result = fog(flat(0.4), severity, IDS, 0)
    lowest, highest = result.amin((1, 2, 3)), result.amax((1, 2, 3))
    torch.testing.assert_close(lowest, torch.full((40,), 0.4 * 0.4 / (0.4 + amount)))
    torch.testing.assert_close(highest, torch.full((40,), 0.4))
    assert torch.equal(fog(flat(0.0), severity, IDS, 0), flat(0.0))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_snow_only_brightens_and_lies_turned_by_half_a_circle(severity):
    result = snow(flat(0.2), severity, IDS, 0)
    share = snow.levels[severity - 1][-1]
    ground = share * 0.2 + (1 - share) * 0.8
    # At every severity there is a pixel that no flake reaches, but for the long streaks of the last.
    assert result.min().item() == pytest.approx(ground, abs=1e-6 if severity < 5 else 0.3)
    assert result.min() >= ground - 1e-6
    torch.testing.assert_close(result, result.flip(2, 3), atol=1e-6, rtol=0)
    assert torch.equal(snow(flat(1.0), severity, IDS, 0), flat(1.0))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_elastic_is_an_affine_map_through_three_points_and_smooth_shifts(severity):
    local, smoothness, affine = (32 * part for part in elastic.levels[severity - 1])
    draws = Draws("elastic", IDS[:3], 0, torch.device("cpu"))
    moves = (2 * draws.uniform("corners", 3, 2).numpy() - 1) * affine
    shifts = 2 * draws.uniform("shift", 2, 32, 32).numpy() - 1
    images = random_images(3)
    result = elastic(images, severity, IDS[:3], 0)
    corners = 15.5 + 10 * np.array([[1, 1], [1, -1], [-1, -1]], np.float32)
    rows, columns = np.mgrid[:32, :32]
    for image in range(3):
        matrix = cv2.getAffineTransform(corners, (corners + moves[image]).astype(np.float32))
        x, y = np.einsum("ij,jhw->ihw", matrix, np.stack([columns, rows, np.ones_like(rows)]))
        if local:
            smooth = scipy.ndimage.gaussian_filter(shifts[image], (0, smoothness, smoothness), mode="nearest")
            x, y = x + local * smooth[0], y + local * smooth[1]
        for channel in range(3):
            expected = scipy.ndimage.map_coordinates(images[image, channel].numpy(), (y, x), order=1, mode="reflect")
            assert np.abs(result[image, channel].numpy() - expected).max() < 1e-4


@pytest.mark.parametrize(("severity", "weights"), levels((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)))
def test_frost_is_a_weighted_sum_of_the_image_and_its_ice(severity, weights):
    share, amount = weights
    images = random_images(40)
    draws = Draws("frost", IDS, 7, torch.device("cpu"))
    expected = (share * images + amount * ice(images, draws)).clamp(0, 1)
    torch.testing.assert_close(frost(images, severity, IDS, 7), expected)


def test_ice_has_the_color_and_the_spread_of_its_photographs():
    found = ice(flat(0.0), Draws("frost", IDS, 0, torch.device("cpu"))).double()
    light = found.mean((2, 3)) - torch.tensor(COLOR)
    assert light.abs().max() <= RANGE + 0.01
    assert scipy.stats.kstest(light[:, 1].numpy(), "uniform", args=(-RANGE, 2 * RANGE)).pvalue > 1e-4
    spread = found.std((2, 3), unbiased=False)
    assert (spread <= CONTRAST + 1e-6).all(), "but for what is clipped it is exact"
    assert spread.mean().item() == pytest.approx(CONTRAST, rel=0.01)


def test_a_crystal_has_six_arms_and_their_mirror_images():
    """Around one nucleus brightness depends on the distance and on the angle to the nearest arm alone."""
    images, clouds = torch.zeros(1, 1, 65, 65), torch.zeros(1, 65, 65)

    class Placed:
        def uniform(self, what, *shape):
            return torch.tensor([[33 / 65], [33 / 65], [0.0]]).expand(1, 3, 5).view(1, *shape)

    found = crystals(images, clouds, Placed())[0].numpy()
    rows, columns = np.mgrid[:65, :65] - 33
    angle, distance = np.arctan2(rows, columns), np.hypot(rows, columns)
    inside = (distance > 3) & (distance < 25)
    for other in (angle + SECTOR, -angle):
        at = 33 + distance * np.sin(other), 33 + distance * np.cos(other)
        turned = scipy.ndimage.map_coordinates(found, at, order=3)
        assert np.abs(turned - found)[inside].mean() < 0.02
    assert found[33, 33:].min() > 0.99, "along an arm"
    assert found[inside].min() < 0.1, "between branches"


def layer(mean, deviation, smoothness):
    """The liquid of spatter by scipy, (40, 32, 32)."""
    noise = Draws("spatter", IDS, 0, torch.device("cpu")).normal("layer", 1, 32, 32)[:, 0].numpy()
    return scipy.ndimage.gaussian_filter(mean + deviation * noise, (0, smoothness, smoothness), mode="nearest")


@pytest.mark.parametrize(("severity", "level"), [(4, (0.65, 0.1, 0.7, 0.69, 0.6)), (5, (0.65, 0.1, 0.5, 0.68, 0.6))])
def test_mud_covers_where_the_layer_is_thick(severity, level):
    mean, deviation, smoothness, dry, softness = level
    wet = (layer(mean, deviation, smoothness) > dry).astype(np.float64)
    cover = scipy.ndimage.gaussian_filter(wet, (0, softness, softness), mode="nearest")
    cover = torch.from_numpy(np.where(cover < 0.8, 0, cover))[:, None].float()
    images = random_images(40)
    expected = images * (1 - cover) + torch.tensor(BROWN).view(1, 3, 1, 1) * cover
    torch.testing.assert_close(spatter(images, severity, IDS, 0), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("severity", "level"),
    [(1, (0.62, 0.1, 0.7, 0.7, 0.5)), (2, (0.65, 0.1, 0.8, 0.7, 0.5)), (3, (0.65, 0.3, 1, 0.69, 0.5))],
)
def test_water_lights_up_turquoise_where_the_layer_is_thick(severity, level):
    mean, deviation, smoothness, dry, brightest = level
    light = spatter(flat(0.2), severity, IDS, 0) - 0.2
    thick = layer(mean, deviation, smoothness)
    assert (light.numpy().transpose(0, 2, 3, 1)[thick < dry - 1e-4] == 0).all()
    torch.testing.assert_close(light.amax((2, 3)), brightest * torch.tensor(TURQUOISE).expand(40, 3))
    torch.testing.assert_close(light[:, 0] * TURQUOISE[1], light[:, 1] * TURQUOISE[0])
    assert torch.equal(light[:, 1], light[:, 2])
    assert (spatter(flat(1.0), severity, IDS, 0) == 1).all()


def test_no_drop_is_no_water():
    assert (water(np.zeros((8, 8), np.float32)) == 0).all()


@pytest.mark.parametrize("times", [0.5, 2, 3])
def test_the_liquid_of_other_sizes_spreads_as_much(times):
    noise = Draws("spatter", IDS, 0, torch.device("cpu")).normal("layer", 1, 96, 96)
    spread = [smoothed(noise, 0.7, 0.7 * factor)[..., 8:-8, 8:-8].std().item() for factor in (1, times)]
    assert spread[1] == pytest.approx(spread[0], rel=0.02)


PEERS = ((0.65, 0.3, 4, 0.69, 0.6, "water"), (0.65, 0.3, 3, 0.68, 0.6, "water"), (0.65, 0.3, 2, 0.68, 0.5, "water"),
         (0.65, 0.3, 1, 0.65, 1.5, "mud"), (0.67, 0.4, 1, 0.65, 1.5, "mud"))  # fmt: skip
"""The levels of imagecorruptions, which are made for large photographs."""


@pytest.mark.parametrize("severity", [3, 4, 5])
def test_spatter_changes_as_much_as_imagecorruptions(severity):
    """At severity 1 and 2 some of the peer's layers of 32 pixels are dry, and it divides by zero."""
    peer = pytest.importorskip("imagecorruptions", exc_type=ImportError)
    images = random_images(40)
    np.random.seed(0)  # noqa: NPY002, what the peer draws from
    ours = dataclasses.replace(spatter, levels=PEERS)(images, severity, IDS, 0)
    pixels = (images * 255).round().byte().permute(0, 2, 3, 1).numpy()
    theirs = np.stack([peer.corrupt(image, severity, "spatter") for image in pixels]) / 255
    change = np.abs(theirs - pixels / 255).mean()
    assert (ours - images).abs().mean().item() == pytest.approx(change, rel=0.15)
