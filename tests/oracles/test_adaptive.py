"""Ways to attack the whole pipeline, where the answer is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.attack import Attack
from pixelprune.attacks.balls import LinfBall
from pixelprune.attacks.fast import Fast
from pixelprune.attacks.losses import margin
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.threat import Threat
from pixelprune.attacks.transferred import Transferred
from pixelprune.draws import Draws
from pixelprune.fills.black import Black
from pixelprune.harness import adaptive
from pixelprune.harness.ladder import Batch
from pixelprune.harness.mask_first import MaskFirst
from pixelprune.harness.pipeline import Pipeline
from pixelprune.pruning import PrunedModel

N, H, W = 6, 10, 10
IDS = np.arange(N)
EVERYWHERE = torch.ones(N, 1, H, W, dtype=torch.bool)
LABELS = torch.zeros(N, dtype=torch.int64)
BALL = LinfBall(eps=0.05)


def brightness(images: Tensor, ids: np.ndarray) -> Tensor:
    """A map by hand: the first channel."""
    return images[:, 0]


def halves(images: Tensor) -> Tensor:
    """Blue of the right half against blue of the left one."""
    seen = images[:, 2]
    return torch.stack([seen[:, :, W // 2 :].sum((1, 2)), seen[:, :, : W // 2].sum((1, 2))], 1)


def pictures() -> Tensor:
    """A little redder on the right: the map keeps that half, and the class is 0."""
    images = 0.4 + 0.2 * torch.rand(N, 3, H, W, generator=torch.Generator().manual_seed(3))
    images[:, 0, :, W // 2 :] += 0.03
    return images


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 4))
    return layers.eval().requires_grad_(False)


def test_mask_first_takes_pixels_away_that_the_class_gradient_does_not_ask_for() -> None:
    """The class hides its gradient: it counts kept pixels, and the map's own colors have no say in it."""
    pruned = PrunedModel(lambda seen: halves(seen.detach()), brightness, 0.5, Black(name="black"))
    images, ball, pipeline = pictures(), LinfBall(eps=0.12), Pipeline(pruned, IDS)

    def broken(attack: Attack) -> int:
        found = attack(pipeline, images, LABELS, ball=ball, mask=EVERYWHERE, draws=Draws.of(IDS, 0))
        assert (found - images).abs().max() <= 0.12 + 1e-6
        return int((margin(pruned(found, IDS), LABELS) > 0).sum())

    assert broken(MaskFirst(Pipeline(pruned, IDS, brightness), steps=20)) == N
    assert broken(PGD(steps=20)) <= N // 2


def test_mask_first_on_a_map_without_a_gradient_attacks_the_class() -> None:
    pruned = PrunedModel(halves, lambda images, ids: images[:, 0].detach(), 0.5, Black(name="black"))
    pipeline = Pipeline(pruned, IDS, pruned.rank)
    images = pictures()
    found = MaskFirst(pipeline, steps=20)(
        pipeline, images, LABELS, ball=LinfBall(eps=0.2), mask=EVERYWHERE, draws=Draws.of(IDS, 0)
    )
    assert ((found - images).abs() <= 0.2 + 1e-6).all()
    assert (margin(pruned(found, IDS), LABELS) > 0).any()


def test_transferred_is_the_attack_on_its_source_judged_elsewhere() -> None:
    images, source = pictures(), network()
    labels = source(images).argmax(1)

    def blind(points: Tensor) -> Tensor:
        return source((points * 255).round() / 255)

    attack = PGD(steps=5, relative_step=1.0)
    options = {"ball": LinfBall(eps=0.2), "mask": EVERYWHERE}
    own = attack(source, images, labels, draws=Draws.of(IDS, 1), **options)  # type: ignore[arg-type]
    direct = attack(blind, images, labels, draws=Draws.of(IDS, 1), **options)  # type: ignore[arg-type]
    moved = Transferred(source, attack)(blind, images, labels, draws=Draws.of(IDS, 1), **options)  # type: ignore[arg-type]
    fell = margin(source(own), labels) > 1e-2
    assert fell.any()
    assert (margin(blind(moved), labels) > 0)[fell].all()
    assert (margin(blind(direct), labels) > 0).sum() < fell.sum()


@pytest.mark.parametrize("attack", [PGD(steps=8), APGD(steps=12), Fast(steps=4)], ids=lambda attack: attack.name)
def test_a_mask_that_does_not_move_makes_kept_and_adaptive_one(attack: APGD) -> None:
    """Equal draws: what is written on dropped pixels reaches no logit, so both climbs see the same numbers."""
    mask = torch.rand(1, 1, H, W, generator=torch.Generator().manual_seed(5)) < 0.4
    pruned = PrunedModel(
        network(), lambda images, ids: mask[:, 0].expand(len(images), -1, -1).float(), "own", Black(name="black")
    )
    images, masks = pictures(), mask.expand(N, -1, -1, -1)
    labels = pruned(images).argmax(1)
    kept = attack(pruned.frozen(masks), images, labels, ball=BALL, mask=masks, draws=Draws.of(IDS, 2))
    moving = attack(Pipeline(pruned, IDS), images, labels, ball=BALL, mask=EVERYWHERE, draws=Draws.of(IDS, 2))
    assert torch.equal(kept * mask, moving * mask)
    assert torch.equal(pruned(kept, IDS), pruned(moving, IDS))


def test_every_way_is_a_line_of_the_table_and_the_worst_of_all_is_kept(tmp_path: Path) -> None:
    images, pruned = pictures(), PrunedModel(halves, brightness, 0.5, Black(name="black"))
    batch = Batch(images, LABELS, IDS, IDS, examples=N)
    replayed = {("kept", "linf"): images, ("location", "linf"): images, ("kept", "other"): images}
    table, worst = adaptive.measure(
        batch, pruned, brightness, halves, {"linf": Threat(eps=(0.02, 0.05), headline=0.05)}, replayed,
        steps=10, queries=20, seed=0, folder=tmp_path,
    )  # fmt: skip
    assert set(table["access"]) == {"adaptive"}
    assert set(table["attack"]) == {
        "straight_through", "square", "rays", "transferred", "replayed_kept", "replayed_location", "through_mask_0.3",
        "through_mask_0.05", "mask_first",
    }  # fmt: skip
    broken = table[table["adv_pred"] != 0]["image"].unique()
    assert len(broken) == N
    assert (margin(pruned(worst["adaptive", "linf"], IDS), LABELS) > 0).all()
    straight = table[table["attack"] == "straight_through"]
    assert straight[straight["adv_pred"] != 0]["image"].nunique() < N


def test_motion_is_the_overlap_of_the_masks_before_and_after() -> None:
    images, pruned = pictures(), PrunedModel(halves, brightness, 0.5, Black(name="black"))
    batch = Batch(images, LABELS, IDS, IDS, examples=N)
    assert (adaptive.motion(pruned, batch, images) == 1).all()
    assert (adaptive.motion(pruned, batch, 1 - images) == 0).all()


def test_a_mask_that_is_empty_and_stays_so_has_not_moved() -> None:
    images, never = (
        pictures(),
        PrunedModel(halves, lambda points, ids: 0 * brightness(points, ids), "own", Black(name="black")),
    )
    batch = Batch(images, LABELS, IDS, IDS, examples=N)
    assert not never.mask(images, IDS).any()
    assert (adaptive.motion(never, batch, 1 - images) == 1).all()
