"""Planted examples behind defenses that draw or search: attacks that work find them, attacks that do not are told."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from oracles.shared_defenses import Toy, as_it_is, noisy, quantized, repaired
from pixelprune.attacks.threat import Threat
from pixelprune.defenses.rain import Rain
from pixelprune.draws import Draws
from pixelprune.harness import planted_defended
from pixelprune.harness.behind import Behind
from pixelprune.harness.effort import Effort
from pixelprune.harness.ladder import Batch
from pixelprune.models.penultimate import penultimate

N, SIDE = 8, 16
THREAT = Threat(eps=(8 / 255,))
EFFORT = Effort(
    images=N, costly=N, costliest=N, check_images=N, planted_points=60, verdict_draws=30, draws=(10, 20, 30)
)
RAIN = Rain(name="rain", upsampling="bicubic", shift=0)
DEFENSES = [
    Toy(noisy(0.05), randomised=True),
    Toy(quantized, dynamic=True),
    Toy(repaired(0.02, 0.02), randomised=True, dynamic=True),
    RAIN,
]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 12, 3, stride=2), nn.ReLU(), nn.Conv2d(12, 12, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(108, 10),
    )  # fmt: skip
    return layers.eval().requires_grad_(False)


def behind(defense: Any, network: nn.Module) -> Behind:
    images = 0.2 + 0.6 * torch.rand(N, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    batch = Batch(images, network(images).argmax(1), np.arange(N), np.arange(N), examples=N)
    return Behind(defense, network, {}, batch, 0, 4)


class Lazy:
    """Returns what it is given."""

    name = "lazy"

    def __init__(self, steps: int) -> None:
        pass

    def __call__(self, model: Any, images: Tensor, *rest: Any, **options: Any) -> Tensor:
        return images


@pytest.mark.parametrize("defense", DEFENSES, ids=["noise", "quantized", "repaired", "rain"])
def test_the_attacks_on_a_defense_find_what_was_planted_behind_it(
    defense: Any, network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = behind(defense, network)
    planted = planted_defended.plant_behind(subject, THREAT, EFFORT)
    assert int(planted.there.sum()) >= 5 and not planted.trivial.any()
    assert bool(planted_defended.reached(subject, planted, THREAT, EFFORT)[planted.there].all())
    monkeypatch.setattr(planted_defended, "APGD", Lazy)
    assert not planted_defended.reached(subject, planted, THREAT, EFFORT)[planted.there].any()
    monkeypatch.setattr(planted_defended, "plant_behind", lambda *_: planted)
    check = planted_defended.examine(subject, THREAT, EFFORT)
    assert (check["verdict"], check["severity"]) == ("fail", "W")
    assert check["found"].startswith(f"0 of {int(planted.there.sum())} planted on {N} images")


def test_without_bpda_what_hides_behind_a_shattered_gradient_is_not_found(network: nn.Module) -> None:
    """The same planted points, and an attack that is given the true derivative alone."""
    planted = planted_defended.plant_behind(behind(Toy(quantized, dynamic=True), network), THREAT, EFFORT)
    plainly = behind(Toy(lambda net, gradient: quantized(net, "unrolled"), dynamic=True), network)
    assert int(planted_defended.reached(plainly, planted, THREAT, EFFORT)[planted.there].sum()) <= 1


def test_what_is_planted_lies_on_the_surface_of_the_ball(network: nn.Module) -> None:
    subject = behind(RAIN, network)
    images, mask = subject.batch.images, torch.ones(N, 1, SIDE, SIDE, dtype=torch.bool)
    for eps_norm in (THREAT, Threat(norm="l2", eps=(0.5,))):
        ball = eps_norm.ball()
        fine, coarse, flat = planted_defended.corners(images, ball, mask, subject.streams("any"))
        for points in (fine, coarse, flat):
            torch.testing.assert_close(ball.length(points - images), torch.full((N,), ball.eps), atol=1e-4, rtol=1e-4)
        blocks = (coarse - images).unfold(2, 4, 4).unfold(3, 4, 4).flatten(4)
        torch.testing.assert_close(blocks, blocks[..., :1].expand_as(blocks))
        assert len((flat - images)[0, 0].round(decimals=4).unique()) == 1


def test_what_is_read_is_the_input_of_the_last_layer_at_the_end(network: nn.Module) -> None:
    images, streams = behind(RAIN, network).batch.images, Draws.of(np.arange(N), 1)
    features = penultimate(network)
    for toy, seen in ((Toy(as_it_is), images), (Toy(quantized, dynamic=True), (images * 100).round() / 100)):
        torch.testing.assert_close(
            planted_defended.reading(behind(toy, network), "identity")(images, streams), features(seen)
        )
    searched = planted_defended.reading(behind(Toy(repaired(0.1), dynamic=True), network), "identity")(images, streams)
    assert searched.shape == (N, 108) and not torch.allclose(searched, features(images))
    of_weights = planted_defended.reading(behind(Toy(as_it_is, posterior=True), network), "identity")
    torch.testing.assert_close(of_weights(images, streams), network(images))


def test_what_cannot_be_planted_is_said(network: nn.Module) -> None:
    assert planted_defended.examine(behind(Toy(as_it_is), network), THREAT, EFFORT)["verdict"] == "not applicable"
    deaf = Toy(
        lambda net, gradient: lambda images, draws: net(0 * images + 0.1 * draws.normal(3, 1, 1)), randomised=True
    )
    assert planted_defended.examine(behind(deaf, network), THREAT, EFFORT)["verdict"] == "not run"
