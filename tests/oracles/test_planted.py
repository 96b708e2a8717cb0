"""Planted examples: attacks that work find them, attacks that do not are told."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pixelprune.attacks.attack import Attack
from pixelprune.attacks.balls import Ball, L2Ball, LinfBall, inside
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.fast import Fast
from pixelprune.attacks.narrowing import Model
from pixelprune.attacks.noise import Noise
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.threat import Threat
from pixelprune.draws import Draws
from pixelprune.evaluation.check import Check
from pixelprune.fills.black import Black
from pixelprune.harness import examine, planted_masks
from pixelprune.harness.adaptive import motion
from pixelprune.harness.ladder import Batch
from pixelprune.harness.pipeline import Pipeline
from pixelprune.harness.planted import found, plant
from pixelprune.harness.settings import Evaluation
from pixelprune.models.penultimate import penultimate
from pixelprune.pruning import FrozenModel, PrunedModel
from pixelprune.selecting import Rank

N = 12
BLACK = Black(name="black")


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

    def share(attack: Attack) -> float:
        draws = Draws.of(np.arange(N), 0)
        goal = inside(images, ball.corner(mask, 3, draws.branch(4)), ball)
        planted = plant(FrozenModel(penultimate(network), mask, BLACK), images, mask, goal, ball=ball, draws=draws)
        assert planted.there.float().mean() > 0.9
        assert not planted.trivial.any()
        hits = found(planted.readout, images, mask, attack=attack, ball=ball, draws=draws.branch(0))
        return float(hits[planted.there].float().mean())

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


class FrozenMask(PGD):
    """Attacks the readout behind the mask of the clean image, and nothing else."""

    def __call__(
        self, model: Model, images: Tensor, labels: Tensor, *,
        ball: Ball, mask: Tensor, draws: Draws, estimator: Estimator = PLAIN,
    ) -> Tensor:  # fmt: skip
        pipeline = model.features  # type: ignore[attr-defined]
        kept = pipeline.pruned.mask(images, pipeline.ids)
        frozen = replace(model, features=pipeline.pruned.frozen(kept))  # type: ignore[type-var]
        points = super().__call__(
            frozen,
            images,
            labels,
            ball=ball,
            mask=kept,
            draws=draws,
            estimator=estimator,  # type: ignore[arg-type]
        )
        return torch.where(pipeline.pruned.mask(points, pipeline.ids) == kept, points, images)


def brightest(images: Tensor, ids: NDArray[np.int64]) -> Tensor:
    """A map that moves with the image, and has a gradient."""
    return functional.avg_pool2d(images.mean(1, keepdim=True), 3, stride=1, padding=1)[:, 0]


def by_place(images: Tensor, ids: NDArray[np.int64]) -> Tensor:
    return torch.arange(256.0).view(1, 16, 16).expand(len(images), -1, -1)


def behind_masks(network: nn.Module, rank: Rank) -> Check:
    images, _ = pictures()
    batch = Batch(images, torch.zeros(N, dtype=torch.int64), np.arange(N), np.arange(N), examples=N)
    threat = Threat(norm="linf", eps=(8 / 255,))
    return planted_masks.examine(
        batch, network, PrunedModel(network, rank, 0.5, BLACK), rank, threat, steps=20, queries=20, seed=0
    )


def test_adaptive_attacks_find_what_was_planted_behind_another_mask(network: nn.Module) -> None:
    check = behind_masks(network, brightest)
    assert check["found"].startswith(f"{N} of {N} planted on {N} images")
    assert check["verdict"] == "pass"


@pytest.mark.parametrize(("attack", "most"), [(Lazy(), 0), (FrozenMask(steps=40), 6)], ids=["lazy", "frozen mask"])
def test_attacks_that_move_no_mask_do_not(
    network: nn.Module, attack: Attack, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one(straight: Pipeline, *options: object) -> list[tuple[Pipeline, dict[str, Attack]]]:
        return [(straight, {"one": attack})]

    monkeypatch.setattr(planted_masks, "ways", one)
    check = behind_masks(network, brightest)
    assert int(check["found"].split()[0]) <= most
    assert (check["verdict"], check["severity"]) == ("fail", "W")


def test_masks_that_stay_and_networks_without_features_are_said(network: nn.Module) -> None:
    assert behind_masks(network, by_place)["verdict"] == "not applicable"
    assert behind_masks(nn.Sequential(nn.Conv2d(3, 2, 16), nn.Flatten()), brightest)["verdict"] == "not run"


def test_a_study_asks_for_it_and_a_mask_must_be_able_to_move(network: nn.Module) -> None:
    images, _ = pictures()
    batch = Batch(images, torch.zeros(N, dtype=torch.int64), np.arange(N), np.arange(N), examples=N)
    settings = Evaluation(planted_mask_images=3, adaptive_steps=20, adaptive_queries=20)
    run: Any = SimpleNamespace(
        settings=settings, network=network, pruned=PrunedModel(network, brightest, 0.5, BLACK), smooth=brightest,
        threats={"linf": Threat(norm="linf", eps=(8 / 255,))}, seed=0,
    )  # fmt: skip
    assert examine._behind_another_mask(run, batch)["found"].startswith("3 of 3 planted on 3 images")
    run.smooth = None
    assert examine._behind_another_mask(run, batch)["verdict"] == "not applicable"
    run.smooth, run.settings = brightest, Evaluation(planted_mask_images=0)
    assert examine._behind_another_mask(run, batch)["found"] == "not asked for in this study"


def test_what_is_planted_moves_the_mask_as_far_as_any_corner_tried(network: nn.Module) -> None:
    images, _ = pictures()
    batch = Batch(images, torch.zeros(N, dtype=torch.int64), np.arange(N), np.arange(N), examples=N)
    pruned, threat = PrunedModel(network, brightest, 0.5, BLACK), Threat(norm="linf", eps=(8 / 255,))
    everywhere, draws = torch.ones(N, 1, 16, 16, dtype=torch.bool), Draws.of(batch.ids, 0)
    stays = [
        motion(pruned, batch, inside(images, threat.ball().corner(everywhere, 3, draws), threat.ball()))
        for _ in range(planted_masks.CORNERS)
    ]
    goal, least = planted_masks.farthest(pruned, batch, threat, Draws.of(batch.ids, 0))
    assert torch.equal(least, torch.stack(stays).amin(0))
    assert torch.equal(motion(pruned, batch, goal), least)
