"""RAIN's pieces: which pixel is kept, how far an image is moved, what is the identity, what learning lowers."""

import numpy as np
import pytest
import torch
from torch import nn

from pixelprune.attacks.fresh import Fresh
from pixelprune.attacks.mean import Mean
from pixelprune.defenses.defense import Lesson
from pixelprune.defenses.rain import Rain, Upsampler, shifted, subsampled
from pixelprune.draws import Draws

N, SIDE = 400, 8
IDS = np.arange(N)


def rand(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(2))


def numbered() -> torch.Tensor:
    """Every pixel and channel has a number of its own."""
    return torch.arange(3 * SIDE * SIDE).float().view(1, 3, SIDE, SIDE).repeat(N, 1, 1, 1)


def test_each_window_keeps_one_of_its_own_pixels_and_all_four_alike_often() -> None:
    kept = subsampled(numbered(), Draws.of(IDS, 0)).long()
    row, column = kept // SIDE % SIDE, kept % SIDE
    assert (kept // SIDE**2 == torch.arange(3).view(1, 3, 1, 1)).all()
    assert (row // 2 == torch.arange(SIDE // 2).view(1, 1, -1, 1)).all()
    assert (column // 2 == torch.arange(SIDE // 2)).all()
    place = row % 2 * 2 + column % 2
    shares = torch.stack([(place == which).float().mean(0) for which in range(4)])
    assert (shares - 0.25).abs().max() < 6 * (0.25 * 0.75 / N) ** 0.5
    one, other = place[:, 0, 0, 0], place[:, 1, 0, 0]
    assert abs(float((one == other).float().mean()) - 0.25) < 5 * (0.25 * 0.75 / N) ** 0.5  # channels by themselves


def test_a_shift_goes_around_the_borders_by_every_number_alike_often() -> None:
    images = numbered()
    moved = shifted(images, 1, 2, Draws.of(IDS, 0))
    counts = torch.zeros(3, 5)
    for image, found in zip(images, moved):
        same = [
            (down, right) for down in range(-1, 2) for right in range(-2, 3)
            if torch.equal(torch.roll(image, (down, right), (1, 2)), found)
        ]  # fmt: skip
        assert len(same) == 1
        counts[same[0][0] + 1, same[0][1] + 2] += 1
    assert (counts / N - 1 / 15).abs().max() < 5 * (1 / 15 * 14 / 15 / N) ** 0.5


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_constant_images_come_through_as_they_are(level: float) -> None:
    images = torch.full((4, 3, SIDE, SIDE), level)
    seen = Rain(name="rain", upsampling="bicubic", shift=0)
    found = seen.around(nn.Identity(), {})(images, Draws.of(IDS[:4], 0))
    torch.testing.assert_close(found, images)


def test_a_gradient_reaches_the_kept_pixels_alone() -> None:
    images = rand(4, 3, SIDE, SIDE).requires_grad_()
    (grad,) = torch.autograd.grad(subsampled(images, Draws.of(IDS[:4], 0)).sum(), images)
    assert ((grad == 0) | (grad == 1)).all() and grad.sum() == images.numel() / 4


def classifier() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 3)).eval().requires_grad_(False)


def test_the_upsampling_network_starts_as_bicubic_and_learns_for_its_classifier() -> None:
    images = rand(8, 3, SIDE, SIDE)
    bicubic = nn.functional.interpolate(images, scale_factor=2, mode="bicubic").clamp(0, 1)
    torch.testing.assert_close(Upsampler(2, 4, torch.Generator().manual_seed(0))(images), bicubic)

    network, pictures = classifier(), (255 * rand(96, 3, SIDE, SIDE)).byte()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    labels, told = network(pictures / 255).argmax(1), []
    rain = Rain(name="rain", blocks=1, features=8, epochs=6, batch=16, learning_rate=3e-3)
    learned = rain.learn(network, Lesson(pictures, labels, torch.Generator().manual_seed(1), told.append))
    losses = [float(line.rpartition(" ")[2]) for line in told]
    assert len(losses) == 6 and losses[-1] < losses[0]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    drawn = rain.around(network, learned)
    first, second = (drawn(pictures / 255, Draws.of(np.arange(96), word)) for word in (0, 1))
    assert torch.equal(first, drawn(pictures / 255, Draws.of(np.arange(96), 0)))
    assert not torch.equal(first, second)


def test_what_is_shown_is_what_the_network_gets() -> None:
    images, draws, network = rand(4, 3, SIDE, SIDE), Draws.of(np.arange(4), 0), classifier()
    learned = Upsampler(1, 4, torch.Generator().manual_seed(0)).state_dict()
    learned["tail.2.weight"] = torch.full_like(learned["tail.2.weight"], 0.05)
    for rain, own in (
        (Rain(name="rain", upsampling="bicubic"), {}),
        (Rain(name="rain", blocks=1, features=4), learned),
    ):
        *first, last = rain.shown(network, own, images, Draws(draws.seeds)).values()
        assert torch.equal(network(last), rain.around(network, own)(images, Draws(draws.seeds)))
        assert len(first) == bool(own) and all(one.shape == images.shape for one in first)
        assert not any(torch.allclose(one, last, atol=1e-3) for one in first)


def test_the_mean_over_draws_follows_the_gradient_of_the_mean() -> None:
    images = rand(4, 3, SIDE, SIDE).requires_grad_()
    drawn = Rain(name="rain", upsampling="bicubic", shift=0.25).around(classifier(), {})
    log = Mean(drawn, Fresh.of(Draws.of(IDS[:4], 0)), 5)(images)
    (grad,) = torch.autograd.grad(log[:, 1].sum(), images)
    draws = Fresh.of(Draws.of(IDS[:4], 0)).next()
    by_hand = torch.stack([torch.softmax(drawn(images, draws.branch(k)), 1) for k in range(5)]).mean(0)[:, 1].log()
    (wanted,) = torch.autograd.grad(by_hand.sum(), images)
    torch.testing.assert_close(grad, wanted, atol=1e-6, rtol=1e-4)
