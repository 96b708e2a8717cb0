"""Fills against brute force and what they must do on pictures whose answer is known."""

import numpy as np
import pytest
import torch

from pixelprune import compat
from pixelprune.fills.black import Black
from pixelprune.fills.blur import Blur
from pixelprune.fills.inpaint import Inpaint
from pixelprune.fills.mean import Mean
from pixelprune.fills.noise import Noise


def rand(*shape, seed=1):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def masks(count, height, width, share=0.4):
    return rand(count, 1, height, width, seed=2) < share


def test_black_is_zero():
    images, mask = rand(3, 3, 4, 5), masks(3, 4, 5)
    assert torch.equal(Black(name="black")(images, mask), images * mask)


def test_mean_is_the_mean_color_of_the_training_images():
    training = np.random.default_rng(0).integers(0, 256, (9, 4, 5, 3), dtype=np.uint8)
    fill = Mean(name="mean").fitted(training)
    np.testing.assert_allclose(fill.color, training.reshape(-1, 3).mean(0) / 255, rtol=1e-12)
    filled = fill(torch.zeros(2, 3, 4, 5), torch.zeros(2, 1, 4, 5, dtype=torch.bool))
    np.testing.assert_allclose(filled[1, :, 3, 2], fill.color, rtol=1e-6)


def test_a_given_color_stays_and_a_missing_one_is_named():
    given = Mean(name="mean", color=[0.1, 0.2, 0.3])
    assert given.fitted(np.zeros((1, 2, 2, 3), np.uint8)) == given
    with pytest.raises(ValueError, match="call fitted"):
        Mean(name="mean")(rand(1, 3, 2, 2), masks(1, 2, 2))


def test_noise_is_one_uniform_image_for_each_size_and_seed():
    none = torch.zeros(2, 1, 40, 50, dtype=torch.bool)
    first, second = Noise(name="noise")(rand(2, 3, 40, 50), none)
    assert torch.equal(first, second)
    assert first.mean().item() == pytest.approx(0.5, abs=0.02)
    assert first.std().item() == pytest.approx(12**-0.5, abs=0.02)
    assert not torch.equal(first, Noise(name="noise", seed=1)(rand(2, 3, 40, 50), none)[0])
    assert Noise(name="noise")(rand(1, 3, 7, 5), none[:1, :, :7, :5]).shape == (1, 3, 7, 5)


@pytest.mark.parametrize("sigma", [0.7, 3.0])
def test_blur_equals_a_loop_over_pixels(sigma):
    images, mask = rand(2, 3, 6, 8), masks(2, 6, 8)
    found = Blur(name="blur", sigma=sigma)(images, mask)
    for n in range(2):
        places = np.argwhere(mask[n, 0].numpy())
        for i in range(6):
            for j in range(8):
                if mask[n, 0, i, j]:
                    continue
                weight = np.exp(-((places - (i, j)) ** 2).sum(1) / (2 * sigma**2))
                colors = images[n, :, places[:, 0], places[:, 1]].double().numpy()
                np.testing.assert_allclose(found[n, :, i, j], colors @ weight / weight.sum(), atol=1e-5)


def test_blur_of_one_color_is_that_color():
    images = torch.tensor([0.2, 0.6, 1.0])[:, None, None].expand(4, 3, 9, 9)
    torch.testing.assert_close(Blur(name="blur")(images, masks(4, 9, 9)), images)


def test_blur_far_from_what_is_kept():
    """Near the border of a gap its color; too far for float32 the mean of what is kept; nothing kept: gray."""
    images = torch.zeros(2, 3, 1, 200)
    images[:, :, :, 0], images[:, :, :, 1] = 0.9, 0.3
    mask = torch.zeros(2, 1, 1, 200, dtype=torch.bool)
    mask[0, ..., :2] = True
    found = Blur(name="blur", sigma=1.0)(images, mask)
    weights = np.exp([-(8**2) / 2, -(7**2) / 2])
    np.testing.assert_allclose(found[0, :, 0, 8], (0.9 * weights[0] + 0.3 * weights[1]) / weights.sum(), atol=1e-5)
    torch.testing.assert_close(found[0, :, 0, 199], torch.full((3,), 0.6))
    assert (found[1] == 0.5).all()


def test_blur_passes_exact_gradients():
    mask = masks(1, 4, 5)
    mask[0, 0, 0, 0] = True
    images = (0.2 + 0.6 * rand(1, 2, 4, 5).double()).requires_grad_()
    assert torch.autograd.gradcheck(lambda points: Blur(name="blur", sigma=1.5)(points, mask), (images,))


def test_inpaint_is_opencv_on_the_kept_pixels():
    cv2 = compat.cv2()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 15, 3), dtype=np.uint8)
    mask = masks(3, 12, 15, share=0.7)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    found = Inpaint(name="inpaint")(images, mask)
    for n in range(3):
        kept, closed = mask[n, 0].numpy(), pixels[n].copy()
        closed[~kept] = np.round(pixels[n][kept].mean(0))
        expected = cv2.inpaint(closed, (~kept).astype(np.uint8), 3, cv2.INPAINT_TELEA)
        np.testing.assert_allclose(found[n].permute(1, 2, 0) * 255, expected, atol=1e-3)


def test_inpaint_continues_a_flat_picture_and_gives_gray_where_nothing_is_kept():
    images = torch.full((2, 3, 10, 10), 51 / 255)
    mask = torch.ones(2, 1, 10, 10, dtype=torch.bool)
    mask[0, :, 3:7, 3:7] = False
    mask[1] = False
    found = Inpaint(name="inpaint")(images, mask)
    torch.testing.assert_close(found[0], images[0], atol=2.5 / 255, rtol=0)
    assert (found[1] == 0.5).all()


def test_inpaint_gives_kept_pixels_their_direct_gradient_alone():
    mask = masks(2, 8, 8)
    images = rand(2, 3, 8, 8).requires_grad_()
    weights = rand(2, 3, 8, 8, seed=5)
    (gradient,) = torch.autograd.grad((weights * Inpaint(name="inpaint")(images, mask)).sum(), images)
    assert torch.equal(gradient, weights * mask)
