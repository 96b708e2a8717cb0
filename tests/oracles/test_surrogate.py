"""The network that stands for a segmenter."""

import numpy as np
import pytest
import torch

from pixelprune import surrogate
from pixelprune.segmenters.overlap import iou

DEVICE = torch.device("cpu")


def discs(count: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Bright discs on noise, uint8 (N, 24, 24, 3), and where they are, float16 (N, 24, 24)."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:24, :24]
    center = rng.integers(7, 17, (count, 2, 1, 1))
    inside = (rows - center[:, 0]) ** 2 + (columns - center[:, 1]) ** 2 < 36
    images = rng.integers(0, 120, (count, 24, 24, 3)) + 100 * inside[..., None]
    return images.astype(np.uint8), inside.astype(np.float16)


@pytest.fixture(scope="module")
def learned() -> torch.nn.Module:
    return surrogate.learn(*discs(), DEVICE)


def test_it_segments_as_what_it_learned_from(learned: torch.nn.Module) -> None:
    images, inside = discs(190)
    found = surrogate.segment(learned, images[150:], DEVICE)
    assert found.dtype == np.float16 and found.shape == (40, 24, 24)
    assert iou(found, inside[150:] > 0.5).mean() > 0.9


def test_its_map_has_a_gradient_in_every_image(learned: torch.nn.Module) -> None:
    images = surrogate.tensor(discs(4)[0], DEVICE).requires_grad_()
    (grad,) = torch.autograd.grad(surrogate.foreground(learned)(images, None).sum(), images)
    assert (grad.flatten(1).norm(dim=1) > 0).all()


def test_weights_are_a_function_of_the_seed_alone() -> None:
    few = [part[:64] for part in discs()]
    weights = []
    for other in (1, 2):
        torch.manual_seed(other)
        weights.append(surrogate.learn(few[0], few[1], DEVICE).state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not torch.equal(surrogate.build(1)[0].weight, surrogate.build(2)[0].weight)  # type: ignore[index]
