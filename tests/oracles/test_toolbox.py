"""The adapter of torchattacks: what it gives on a linear model, and the habits of torchattacks that it keeps away."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pixelprune.attacks.balls import L2Ball, LinfBall
from pixelprune.attacks.catalog import Attack
from pixelprune.attacks.fgsm import FGSM
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Budget, Counted
from pixelprune.attacks.toolbox import Toolbox
from pixelprune.draws import Draws
from pixelprune.errors import ParamsError
from pixelprune.params import validated

N, C, H, W = 6, 3, 6, 6


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(C, H, W, generator=seeded(7)))

    def forward(self, images: Tensor) -> Tensor:
        score = (images * self.weight).sum((1, 2, 3)) + 10.0  # no image falls
        return torch.stack(
            [torch.zeros_like(score), score, torch.zeros_like(score) - 1, torch.zeros_like(score) - 2], 1
        )


class Frozen:
    """A mask for each image; refuses any other number of images."""

    def __init__(self, model: nn.Module, masks: Tensor) -> None:
        self.model, self.masks = model, masks

    def __call__(self, images: Tensor) -> Tensor:
        assert len(images) == len(self.masks)
        return self.model(images * self.masks)

    def narrow(self, index: Tensor) -> "Frozen":
        return Frozen(self.model, self.masks[index])


@pytest.fixture
def case() -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    images = torch.rand(N, C, H, W, generator=seeded())
    return Linear(), images, torch.ones(N, dtype=torch.int64), torch.rand(N, 1, H, W, generator=seeded(1)) < 0.5


Case = tuple[nn.Module, Tensor, Tensor, Tensor]


@pytest.mark.parametrize("batch", [1, 4])
def test_its_fgsm_is_our_fgsm(case: Case, batch: int) -> None:
    model, images, labels, mask = case
    ball = LinfBall(eps=0.05)
    arguments = {"ball": ball, "mask": mask, "draws": Draws.of(np.arange(N), 0)}
    theirs = Toolbox(attack="FGSM", batch=batch)(model, images, labels, **arguments)
    torch.testing.assert_close(theirs, FGSM()(model, images, labels, **arguments), atol=1e-6, rtol=0)


def test_its_l2_attack_loses_what_it_writes_outside_the_mask(case: Case) -> None:
    model, images, labels, mask = case
    images = 0.4 + 0.2 * images
    arguments = {"ball": L2Ball(eps=0.3), "mask": mask, "draws": Draws.of(np.arange(N), 0)}
    theirs = Toolbox(attack="PGDL2", arguments={"alpha": 0.1, "steps": 40})(model, images, labels, **arguments)
    assert torch.equal(theirs[~mask.expand_as(theirs)], images[~mask.expand_as(theirs)])
    gained, ours = (margin(model(x), labels) for x in (theirs, FGSM()(model, images, labels, **arguments)))
    clean = margin(model(images), labels)
    share = (mask * model.weight).flatten(1).norm(dim=1) / model.weight.norm()
    # The step along all of w keeps the share of its length that lies under the mask; ours has the whole length there.
    torch.testing.assert_close((gained - clean) / (ours - clean), share, atol=0.02, rtol=0)


@pytest.mark.parametrize("attack", ["APGD", "Square", "SPSA", "EOTPGD", "DIFGSM", "Pixle", "CW"])
def test_classes_that_call_the_model_on_other_batches_work_with_frozen_masks(case: Case, attack: str) -> None:
    model, images, labels, mask = case
    arguments = {"SPSA": {"nb_iter": 1, "nb_sample": 8}, "Square": {"n_queries": 20}, "CW": {"steps": 5}}
    options = Toolbox(attack=attack, arguments=arguments.get(attack, {}))
    budget = Budget(N)
    counted = Counted(Frozen(model, mask), budget)
    found = options(counted, images, labels, ball=LinfBall(eps=0.05), mask=mask, draws=Draws.of(np.arange(N), 0))
    assert ((found - images).abs() <= 0.05 + 1e-6).all()
    assert (budget.forward > 2).all()


def test_a_batch_that_such_a_class_cannot_have_is_the_users_mistake(case: Case) -> None:
    model, images, labels, mask = case
    attack = Toolbox(attack="SPSA", arguments={"nb_iter": 1, "nb_sample": 8}, batch=3)
    with pytest.raises(ParamsError, match="leave out `batch`"):
        attack(Frozen(model, mask), images, labels, ball=LinfBall(eps=0.05), mask=mask, draws=Draws.of(np.arange(N), 0))


def test_says_nothing_and_leaves_modes_alone(case: Case, capfd: pytest.CaptureFixture[str]) -> None:
    linear, images, labels, mask = case
    model = nn.Sequential(nn.Dropout(0.0), linear)
    model[0].train()  # torchattacks would put every part of it in one mode
    model.training = True
    Toolbox(attack="APGD", arguments={"steps": 2})(
        model, images, labels, ball=LinfBall(eps=0.05), mask=mask, draws=Draws.of(np.arange(N), 0)
    )
    assert model.training
    assert model[0].training
    assert linear.training
    assert linear.weight.grad is None
    assert capfd.readouterr() == ("", "")


def test_an_image_has_its_own_draws(case: Case) -> None:
    model, images, labels, mask = case
    attack = Toolbox(attack="GN", arguments={"std": 0.1})
    arguments = {"ball": LinfBall(eps=0.3), "mask": torch.ones_like(mask)}
    whole = attack(model, images, labels, **arguments, draws=Draws.of(np.arange(N), 0))
    wrong = labels.clone()
    wrong[:3] = 0
    part = attack(model, images, wrong, **arguments, draws=Draws.of(np.arange(N), 0))
    assert torch.equal(whole[3:], part[3:])
    assert torch.equal(part[:3], images[:3])


def test_an_error_inside_is_told_from_ours(case: Case) -> None:
    model, images, labels, mask = case
    attack = Toolbox(attack="APGD", arguments={"loss": "no such loss"})
    with pytest.raises(ValueError, match="unknown loss") as caught:
        attack(model, images, labels, ball=LinfBall(eps=0.05), mask=mask, draws=Draws.of(np.arange(N), 0))
    assert "raised inside torchattacks.APGD" in caught.value.__notes__[0]


def test_ratios_read_as_everywhere_in_params() -> None:
    attack = validated({"name": "toolbox", "attack": "PGD", "arguments": {"alpha": "2/255", "steps": 3}}, Attack)
    assert attack.arguments == {"alpha": 2 / 255, "steps": 3}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"attack": "apdg"}, "attack: torchattacks has no such attack; did you mean 'APGD'?, found 'apdg'"),
        ({"attack": "LGV"}, "attack: torchattacks has no such attack, found 'LGV'"),  # needs training images
        ({"attack": "PGD", "arguments": {"stepz": 3}}, "arguments: no argument 'stepz' of PGD, which has alpha, steps"),
        ({"attack": "PGD", "arguments": {"stepz": 3}}, "did you mean 'steps'?"),
        ({"attack": "VANILA", "arguments": {"x": 3}}, "which has no arguments"),
        ({"attack": "PGD", "arguments": {"eps": 0.1}}, "arguments: eps follows from the threat and the run"),
        ({"attack": "PGD", "batch": 0}, "batch: input should be greater than or equal to 1"),
        ({"attack": "PGD", "arguments": {"steps": [3]}}, "arguments"),
        ({}, "attack: missing"),
    ],
)
def test_unknown_classes_and_arguments_are_refused(entry: dict[str, object], message: str) -> None:
    with pytest.raises(ParamsError) as caught:
        validated({"name": "toolbox", **entry}, Attack, "ladder.tail.")
    assert message in str(caught.value)
