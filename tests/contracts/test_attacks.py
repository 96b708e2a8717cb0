"""What every attack of the catalog promises, for both norms and with masks. A new attack needs a line in ATTACKS."""

from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.apgd_targeted import APGDTargeted
from pixelprune.attacks.autoattack import AutoAttack
from pixelprune.attacks.balls import Ball, L2Ball, LinfBall
from pixelprune.attacks.catalog import Attack
from pixelprune.attacks.fab import FAB
from pixelprune.attacks.fast import Fast
from pixelprune.attacks.fgsm import FGSM
from pixelprune.attacks.losses import margin
from pixelprune.attacks.max import Max
from pixelprune.attacks.noise import Noise
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.rays import RayS
from pixelprune.attacks.square import Square
from pixelprune.attacks.toolbox import Toolbox
from pixelprune.draws import Draws

ATTACKS = [
    Noise(draws=4),
    Noise(draws=4, corners=True),
    FGSM(),
    PGD(steps=6),
    PGD(steps=4, restarts=2, relative_step=3.0, loss="margin"),
    APGD(steps=6),
    APGD(steps=6, restarts=2, loss="dlr"),
    APGDTargeted(steps=4, targets=2),
    FAB(steps=4),
    Square(queries=12),
    RayS(queries=20),
    AutoAttack(steps=3, queries=4),
    AutoAttack(version="rand", steps=2),
    Fast(steps=3, targets=2, target_steps=3, within=9.0, near=0.5, near_steps=5),
    Max(steps=2, queries=3, restarts=1),
    Toolbox(attack="PGD", arguments={"steps": 3, "alpha": 0.3}),
    Toolbox(attack="PGDL2", arguments={"steps": 3, "alpha": 3.0}, batch=4),
]
BALLS: list[Ball] = [LinfBall(eps=8 / 255), L2Ball(eps=0.5)]
N, C, H, W, K = 6, 3, 8, 7, 4

pytestmark = [
    pytest.mark.parametrize("attack", ATTACKS, ids=repr),
    pytest.mark.parametrize("ball", BALLS, ids=lambda ball: ball.norm),
]


class Net(nn.Module):
    """Small, random, with the layers that a mode or a forgotten gradient would change."""

    def __init__(self, classes: int = K) -> None:
        super().__init__()
        torch.manual_seed(classes)
        self.layers = nn.Sequential(
            nn.Conv2d(C, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.LazyLinear(classes)
        )
        self.layers.eval()(torch.zeros(1, C, H, W))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class Frozen:
    """A mask for each image; refuses any other number of images."""

    def __init__(self, model: nn.Module, masks: Tensor) -> None:
        self.model, self.masks = model, masks

    def __call__(self, images: Tensor) -> Tensor:
        assert len(images) == len(self.masks), "the attack did not narrow its model"
        return self.model(images * self.masks)

    def narrow(self, index: Tensor) -> "Frozen":
        return Frozen(self.model, self.masks[index])


def streams(images: int, seed: int = 0) -> Draws:
    return Draws.of(np.arange(images), seed)


def hostile() -> tuple[Tensor, Tensor]:
    """Half of the pixels at 0 or 1, where the clamp bites; a mask of every kind."""
    rng = torch.Generator().manual_seed(1)
    images = torch.rand(N, C, H, W, generator=rng)
    images[: N // 2] = images[: N // 2].round()
    mask = torch.rand(N, 1, H, W, generator=rng) < 0.5
    mask[1] = True
    mask[2] = False
    mask[2, 0, 3, 3] = True
    return images, mask


def right_labels(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images).argmax(1)


def test_stays_in_the_ball_the_box_and_the_mask(attack: Attack, ball: Ball) -> None:
    model, (images, mask) = Net(), hostile()
    for labels in (right_labels(model, images), torch.arange(N) % K):
        found = attack(model, images, labels, ball=ball, mask=mask, draws=streams(N))
        assert found.dtype == torch.float32
        assert found.shape == images.shape
        assert found.isfinite().all()
        delta = (found.double() - images.double()).flatten(1)
        size = delta.abs().amax(1) if ball.norm == "linf" else delta.norm(dim=1)
        assert (size <= ball.eps + 1e-6).all()
        assert found.min() >= 0
        assert found.max() <= 1
        closed = ~mask.expand_as(images)
        assert torch.equal(found[closed], images[closed])


def test_white_images_stay_in_a_large_l2_ball_too(attack: Attack, ball: Ball) -> None:
    """Where every value rounds alike, by nearly half of the spacing of float32: the hardest case for the length."""
    images, labels = torch.ones(2, C, 64, 64), torch.zeros(2, dtype=torch.int64)
    weight = torch.ones(C, 64, 64) * 0.01

    def model(images: Tensor) -> Tensor:
        score = (images * weight).sum((1, 2, 3))
        return torch.stack([score, torch.zeros_like(score)], 1)

    ball = type(ball)(eps=75600.55 * 2**-24 * (1 if ball.norm == "linf" else (C * 64 * 64) ** 0.5))
    mask = torch.ones(2, 1, 64, 64, dtype=torch.bool)
    found = attack(model, images, labels, ball=ball, mask=mask, draws=streams(2))
    delta = (found.double() - images.double()).flatten(1)
    size = delta.abs().amax(1) if ball.norm == "linf" else delta.norm(dim=1)
    assert (size <= ball.eps + 1e-6).all()


def test_never_makes_an_image_easier_and_leaves_clean_errors_alone(attack: Attack, ball: Ball) -> None:
    model, (images, mask) = Net(), hostile()
    labels = right_labels(model, images)
    labels[::2] = (labels[::2] + 1) % K
    found = attack(model, images, labels, ball=ball, mask=mask, draws=streams(N))
    assert torch.equal(found[::2], images[::2])
    with torch.no_grad():
        assert (margin(model(found), labels) >= margin(model(images), labels) - 1e-6).all()


def test_the_same_seed_gives_the_same_bytes_and_no_global_state_is_used(attack: Attack, ball: Ball) -> None:
    model, (images, mask) = Net(), hostile()
    labels = right_labels(model, images)
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - the state that must not matter
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = attack(model, images, labels, ball=ball, mask=mask, draws=streams(N, 3))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    torch.manual_seed(6)
    again = attack(model, images, labels, ball=ball, mask=mask, draws=streams(N, 3))
    assert torch.equal(first, again)


def test_does_not_change_what_it_is_given(attack: Attack, ball: Ball) -> None:
    for frozen_weights in (False, True):
        model, (images, mask) = Net().requires_grad_(not frozen_weights), hostile()
        model.layers[0].train()  # a mode of its own, which nobody may "restore"
        labels = right_labels(model, images)
        before = [
            images.clone(),
            labels.clone(),
            mask.clone(),
            *(value.clone() for value in model.state_dict().values()),
        ]
        modes = [part.training for part in model.modules()]
        with torch.no_grad():  # as an evaluation calls it
            found = attack(model, images, labels, ball=ball, mask=mask, draws=streams(N))
        after = [images, labels, mask, *model.state_dict().values()]
        assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))
        assert [part.training for part in model.modules()] == modes
        assert all(weight.grad is None for weight in model.parameters())
        assert all(weight.requires_grad is not frozen_weights for weight in model.parameters())
        assert not found.requires_grad
        assert not images.requires_grad


def test_an_image_does_not_feel_which_others_leave(attack: Attack, ball: Ball) -> None:
    """The other images are wrong from the start, or right: the first one's result is the same."""
    model, (images, mask) = Net(), hostile()
    if isinstance(attack, Toolbox) and attack.batch > 1:
        pytest.skip("torchattacks draws for the images that are left")
    labels = right_labels(model, images)
    together = attack(model, images, labels, ball=ball, mask=mask, draws=streams(N))
    others_wrong = (labels + 1) % K
    others_wrong[0] = labels[0]
    alone = attack(model, images, others_wrong, ball=ball, mask=mask, draws=streams(N))
    torch.testing.assert_close(together[0], alone[0], atol=1e-5, rtol=0)


def test_a_model_that_narrows_gives_what_the_same_model_without_gives(attack: Attack, ball: Ball) -> None:
    model, (images, mask) = Net(), hostile()
    kept = torch.rand(1, 1, H, W, generator=torch.Generator().manual_seed(2)) < 0.7
    labels = right_labels(model, images * kept)
    labels[1] = (labels[1] + 1) % K
    arguments = {"ball": ball, "mask": mask}
    plain = attack(lambda x: model(x * kept), images, labels, **arguments, draws=streams(N))
    frozen = attack(Frozen(model, kept.expand(N, -1, -1, -1)), images, labels, **arguments, draws=streams(N))
    assert torch.equal(plain, frozen)


@pytest.mark.parametrize("classes", [2, 3, 4, 10])
def test_any_number_of_classes(attack: Attack, ball: Ball, classes: int) -> None:
    model, (images, mask) = Net(classes), hostile()
    labels = right_labels(model, images)
    found = attack(model, images, labels, ball=ball, mask=mask, draws=streams(N))
    with torch.no_grad():
        assert (margin(model(found), labels) >= margin(model(images), labels) - 1e-6).all()


def test_a_closed_mask_returns_the_input(attack: Attack, ball: Ball) -> None:
    model, (images, mask) = Net(), hostile()
    labels = right_labels(model, images)
    found = attack(model, images, labels, ball=ball, mask=torch.zeros_like(mask), draws=streams(N))
    assert torch.equal(found, images)


def test_a_radius_of_zero_changes_nothing(attack: Attack, ball: Ball) -> None:
    if isinstance(attack, Toolbox):
        pytest.skip("torchattacks divides by eps")
    model, (images, mask) = Net(), hostile()
    labels = right_labels(model, images)
    found = attack(model, images, labels, ball=type(ball)(eps=0), mask=mask, draws=streams(N))
    assert torch.equal(found, images)


def test_a_model_without_a_gradient_is_no_error(attack: Attack, ball: Ball) -> None:
    if isinstance(attack, Toolbox):
        pytest.skip("torchattacks demands a gradient")
    images, mask = hostile()
    labels = torch.zeros(N, dtype=torch.int64)
    found = attack(lambda x: torch.eye(K)[[0] * len(x)], images, labels, ball=ball, mask=mask, draws=streams(N))
    assert torch.equal(found, images)


def test_no_images_are_no_error(attack: Attack, ball: Ball) -> None:
    images, mask = hostile()
    found = attack(Net(), images[:0], torch.zeros(0, dtype=torch.int64), ball=ball, mask=mask[:0], draws=streams(0))
    assert found.shape == (0, C, H, W)


def test_every_attack_of_the_catalog_is_tested(attack: Attack, ball: Ball) -> None:
    members = get_args(get_args(Attack)[0])
    assert {type(tested) for tested in ATTACKS} == set(members)
    assert all(member.__module__ == f"pixelprune.attacks.{member.model_fields['name'].default}" for member in members)
