"""The whole pipeline under attack: true forward, smooth backward."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.balls import LinfBall
from pixelprune.attacks.losses import margin
from pixelprune.draws import Draws
from pixelprune.fills.black import Black
from pixelprune.fills.blur import Blur
from pixelprune.harness.pipeline import Pipeline
from pixelprune.maps.map import Source
from pixelprune.maps.sobel import Sobel
from pixelprune.pruning import PrunedModel

N, H, W = 6, 10, 10
IDS = np.arange(N)


def brightness(images: Tensor, ids: np.ndarray) -> Tensor:
    """A map by hand: the first channel."""
    return images[:, 0]


def edges(images: Tensor, ids: np.ndarray) -> Tensor:
    return Sobel(name="sobel", reads="data/raw")(images, ids, Source())


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 4))
    return layers.eval().requires_grad_(False)


def pictures() -> Tensor:
    return 0.1 + 0.8 * torch.rand(N, 3, H, W, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("keep", [0.3, "own"])
@pytest.mark.parametrize("fill", [Black(name="black"), Blur(name="blur")], ids=lambda fill: fill.name)
@pytest.mark.parametrize("rank", [brightness, edges])
def test_the_forward_is_that_of_the_true_pipeline_bit_for_bit(rank, fill, keep) -> None:
    pruned = PrunedModel(network(), rank, keep, fill)
    images = pictures()
    smooth = Pipeline(pruned, IDS, rank)
    assert torch.equal(smooth(images.clone().requires_grad_()), pruned(images, IDS))
    assert torch.equal(smooth(images), pruned(images, IDS))
    some = torch.tensor([4, 1])
    assert torch.equal(smooth.narrow(some)(images[some]), pruned(images[some], IDS[some.numpy()]))


def test_without_a_smooth_map_the_mask_counts_as_constant() -> None:
    pruned = PrunedModel(network(), brightness, 0.5, Black(name="black"))
    images = pictures().requires_grad_()
    (straight,) = torch.autograd.grad(Pipeline(pruned, IDS)(images).sum(), images)
    (frozen,) = torch.autograd.grad(pruned.frozen(pruned.mask(images, IDS))(images).sum(), images)
    assert torch.equal(straight, frozen)


def test_the_gradient_through_the_mask_by_hand() -> None:
    """Ranked by the first channel, black behind: a pixel's coming adds its own value, at the slope of the sigmoid."""
    weight = torch.randn(3, H, W, generator=torch.Generator().manual_seed(2))

    def linear(images: Tensor) -> Tensor:
        return (images * weight).sum((1, 2, 3))[:, None]

    pruned = PrunedModel(linear, brightness, 0.5, Black(name="black"))
    images = pictures().requires_grad_()
    (found,) = torch.autograd.grad(Pipeline(pruned, IDS, brightness, temperature=0.3)(images).sum(), images)
    with torch.no_grad():
        mask, values = pruned.mask(images, IDS), images[:, :1]
        level = values.flatten(1).sort(1, descending=True).values[:, H * W // 2 - 1].view(-1, 1, 1, 1)
        width = 0.3 * values.std((2, 3), keepdim=True)
        soft = torch.sigmoid((values - level) / width)
        expected = weight * mask
        expected[:, :1] += soft * (1 - soft) / width * (images * weight).sum(1, keepdim=True)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_an_attack_through_the_mask_finds_what_a_straight_one_cannot() -> None:
    """The network weighs the blue of both halves, the map ranks by red: only other pixels turn the scales."""

    def weigh(images: Tensor) -> Tensor:
        seen = images[:, 2]
        right, left = seen[:, :, W // 2 :].sum((1, 2)), seen[:, :, : W // 2].sum((1, 2))
        return torch.stack([right, left], 1)

    generator = torch.Generator().manual_seed(3)
    images = 0.4 + 0.2 * torch.rand(N, 3, H, W, generator=generator)
    images[:, 0, :, W // 2 :] += 0.03
    labels, mask = torch.zeros(N, dtype=torch.int64), torch.ones(N, 1, H, W, dtype=torch.bool)
    pruned = PrunedModel(weigh, brightness, 0.5, Black(name="black"))
    assert (margin(pruned(images, IDS), labels) < 0).all()

    def broken(pipeline: Pipeline) -> int:
        found = APGD(steps=30)(pipeline, images, labels, ball=LinfBall(eps=0.05), mask=mask, draws=Draws.of(IDS, 0))
        return int((margin(pruned(found, IDS), labels) > 0).sum())

    assert broken(Pipeline(pruned, IDS, brightness)) == N
    assert broken(Pipeline(pruned, IDS)) <= N // 2
