"""Planted examples: attacks that work find them, attacks that do not are told."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pixelprune.attacks.balls import Ball, L2Ball, LinfBall
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.fast import Fast
from pixelprune.attacks.narrowing import Model
from pixelprune.attacks.noise import Noise
from pixelprune.attacks.pgd import PGD
from pixelprune.draws import Draws
from pixelprune.fills.black import Black
from pixelprune.harness.planted import penultimate, plant

N = 12


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 12, 3, stride=2), nn.ReLU(), nn.Conv2d(12, 12, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(108, 10),
    )  # fmt: skip
    return layers.eval().requires_grad_(False)


def pictures() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    images = 0.2 + 0.6 * torch.rand(N, 3, 16, 16, generator=rng)
    return images, torch.rand(N, 1, 16, 16, generator=rng) < 0.7


class Lazy(PGD):
    """Returns what it is given."""

    def __call__(
        self, model: Model, images: Tensor, labels: Tensor, *,
        ball: Ball, mask: Tensor, draws: Draws, estimator: Estimator = PLAIN,
    ) -> Tensor:  # fmt: skip
        return images


@pytest.mark.parametrize("ball", [LinfBall(eps=8 / 255), L2Ball(eps=0.5)], ids=lambda ball: ball.norm)
def test_gradient_attacks_find_what_was_planted_and_others_do_not(network: nn.Module, ball: Ball) -> None:
    images, mask = pictures()

    def share(attack: object) -> float:
        result = plant(
            penultimate(network), Black(name="black"), images, mask,
            attack=attack, ball=ball, draws=Draws.of(np.arange(N), 0),  # type: ignore[arg-type]
        )  # fmt: skip
        assert result.planted.float().mean() > 0.9
        assert not result.trivial.any()
        return float(result.found[result.planted].float().mean())

    assert share(PGD(steps=40)) == 1
    assert share(Fast()) == 1
    assert share(Lazy()) == 0
    assert share(Noise(draws=50)) == 0


def test_the_features_are_what_the_last_layer_is_given(network: nn.Module) -> None:
    images, _ = pictures()
    last = network[-1]
    torch.testing.assert_close(last(penultimate(network)(images)), network(images))
    with pytest.raises(ValueError, match="no linear layer"):
        penultimate(nn.Conv2d(3, 3, 1))
