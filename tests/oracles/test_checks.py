"""Each check passes on a linear model, where attacks are exact, and fails on the fault that it is there to find."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pixelprune.attacks.fgsm import FGSM
from pixelprune.attacks.noise import Noise
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.threat import Threat
from pixelprune.attacks.twin import exactly
from pixelprune.fills.black import Black
from pixelprune.harness import checks
from pixelprune.harness.checks import Subject
from pixelprune.harness.difference import difference

N, C, H, W = 16, 3, 5, 6
EPS = 8 / 255


class Linear(nn.Module):
    """Logits (0, w.x + b) of an image, times `scale`."""

    def __init__(self, weight: Tensor, scale: float = 1.0) -> None:
        super().__init__()
        self.weight, self.scale = nn.Parameter(weight, requires_grad=False), scale

    def forward(self, images: Tensor) -> Tensor:
        score = (images * self.weight).sum((1, 2, 3)) * self.scale
        return torch.stack([torch.zeros_like(score), score], 1)


class LinearLayer(nn.Module):
    """The same as layers, so that it has features: every pixel."""

    def __init__(self, linear: Linear) -> None:
        super().__init__()
        self.last = nn.Linear(C * H * W, 2, bias=False)
        weight = linear.weight.detach().flatten()
        self.last.weight = nn.Parameter(torch.stack([torch.zeros_like(weight), weight]), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(images.flatten(1))


class Behind(nn.Module):
    """A planted fault in front of a network."""

    def __init__(self, network: nn.Module, fault: Any) -> None:
        super().__init__()
        self.network, self.fault = network, fault

    def forward(self, images: Tensor) -> Tensor:
        return self.network(self.fault(images))


def subject(scores: Tensor, norm: int = 1) -> Subject:
    """Images whose scores are these multiples of what eps can take from them: eps ||w||_1, or eps ||w||_2."""
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(C, H, W, generator=rng)
    images = 0.35 + 0.3 * torch.rand(N, C, H, W, generator=rng)
    mask = torch.rand(N, 1, H, W, generator=rng) < 0.6
    open_weight = weight * mask
    reach = EPS * open_weight.flatten(1).norm(p=norm, dim=1)
    now = (images * open_weight).sum((1, 2, 3))
    square = open_weight.square().sum((1, 2, 3))
    images = images + ((scores * reach - now) / square).view(-1, 1, 1, 1) * open_weight  # moved along w to its score
    return Subject(
        network=Linear(weight), fill=Black(name="black"), ids=np.arange(N), images=images,
        labels=torch.ones(N, dtype=torch.int64), mask=mask, threat=Threat(eps=(EPS,)),
        ladder={"fgsm": FGSM(), "pgd": PGD(steps=10)}, stands=scores > 1, queries=200, pgd=PGD(steps=10),
        behaviour="static", transferred=None, adaptive=None, seed=0,
    )  # fmt: skip


@pytest.fixture
def sane() -> Subject:
    return subject(torch.linspace(-0.5, 2.0, N))


def behind(sane: Subject, fault: Any) -> Subject:
    return replace(sane, network=Behind(sane.network, fault))


def zero_gradient(images: Tensor) -> Tensor:
    return images.detach() + 0 * images


def quantized(images: Tensor) -> Tensor:
    return (images * 255).round() / 255


def straight_through(images: Tensor) -> Tensor:
    return images + (quantized(images) - images).detach()


def test_all_checks_pass_on_a_linear_model(sane: Subject) -> None:
    network = LinearLayer(sane.network)
    found = checks.run(replace(sane, network=network, transferred=sane.images, adaptive=0.9))
    assert {check["id"]: check["verdict"] for check in found} == {
        f"E{n}": "pass" for n in (1, 6, 7, 9, 10, 11, 12, 13, 14, 15, 17, 18, 20, 21, 25, 27)
    }


def test_every_check_says_what_was_found_and_what_was_wanted(sane: Subject) -> None:
    for check in checks.run(sane):
        assert list(check) == ["id", "title", "found", "threshold", "severity", "verdict"]
        assert all(isinstance(text, str) and text for text in check.values())
        assert check["severity"] in ("F", "W")


def test_checks_leave_the_network_as_it_is(sane: Subject) -> None:
    before = {name: value.clone() for name, value in sane.network.state_dict().items()}
    sane.network.eval()
    first = checks.run(sane)
    assert all(torch.equal(value, before[name]) for name, value in sane.network.state_dict().items())
    assert not sane.network.training
    assert sane.network.state_dict()["weight"].dtype == torch.float32
    assert checks.run(sane) == first


def test_e1_an_attack_that_ignores_the_ball(sane: Subject) -> None:
    def rude(model: Any, images: Tensor, labels: Tensor, **_: Any) -> Tensor:
        return torch.zeros_like(images) - exactly(model).model.weight

    found = checks.zero_eps(replace(sane, ladder={"rude": rude}))  # type: ignore[dict-item]
    right = int((torch.linspace(-0.5, 2.0, N) > 0).sum())
    assert (found["verdict"], found["found"]) == ("fail", f"{right} of {N} images change their verdict")


class Slow:
    """Reaches the optimum of the linear model only with 100 steps in all."""

    def __init__(self, steps: int = 10, restarts: int = 1) -> None:
        self.steps, self.restarts = steps, restarts

    def model_copy(self, *, update: dict[str, int]) -> "Slow":
        return Slow(**({"steps": self.steps, "restarts": self.restarts} | update))

    def __call__(self, model: Any, images: Tensor, labels: Tensor, *, ball: Any, mask: Tensor, **_: Any) -> Tensor:
        share = min(self.steps * self.restarts / 100, 1.0)
        return images - share * ball.eps * exactly(model).model.weight.sign() * mask


@pytest.mark.parametrize(("name", "steps", "words"), [
    ("E6", 50, "after 50, 5 after 100 steps"), ("E7", 10, "after 5, 5 after 10 restarts"),
])  # fmt: skip
def test_e6_and_e7_an_attack_that_is_not_done(name: str, steps: int, words: str) -> None:
    """The run's own attack is the one that is prolonged."""
    hard = subject(torch.cat([torch.full((11,), 0.75), torch.full((5,), 1.2)]))
    check = {"E6": checks.more_steps, "E7": checks.more_restarts}[name]
    found = check(replace(hard, pgd=Slow(steps=steps)))  # type: ignore[arg-type]
    assert (found["verdict"], found["severity"]) == ("fail", "W")
    assert found["found"] == f"16 of {N} images stand {words}"
    done = check(replace(hard, pgd=PGD(steps=steps)))
    assert (done["verdict"], done["found"]) == ("pass", f"5 of {N} images stand {words}")


def test_e9_queries_break_what_a_masked_gradient_hides() -> None:
    """Every image can be broken, but not along gradients: 0.5 of what eps can take is left."""
    weak = replace(subject(torch.full((N,), 0.5)), stands=torch.ones(N, dtype=torch.bool), queries=400)
    found = checks.black_box(behind(weak, quantized))
    assert (found["verdict"], found["severity"]) == ("fail", "F")
    assert found["found"].startswith(f"of the {N} images that the ladder leaves standing: {N} fall to squares, ")
    assert int(found["found"].partition("squares, ")[2].split()[0]) > N // 2


def test_e21_a_ladder_that_finds_nothing(sane: Subject) -> None:
    network = LinearLayer(sane.network)
    idle = checks.planted(replace(sane, network=network, ladder={"fgsm": Noise(draws=1)}))
    assert (idle["verdict"], idle["severity"]) == ("fail", "F")
    assert idle["found"].startswith(f"0 of {N} planted on {N} images")
    masked = checks.planted(replace(sane, network=Behind(network, quantized)))
    assert masked["verdict"] == "fail"


def test_e21_needs_features(sane: Subject) -> None:
    assert checks.planted(sane)["verdict"] == "not run"
    nothing = replace(sane, mask=torch.zeros_like(sane.mask))
    assert checks.planted(nothing)["verdict"] == "not applicable"


def test_e21_nothing_planted_is_nothing_shown(sane: Subject) -> None:
    network = Behind(LinearLayer(sane.network), lambda images: 0 * images)
    found = checks.planted(replace(sane, network=network))
    assert (found["verdict"], found["severity"]) == ("not run", "F")
    assert found["found"].startswith("0 of 0 planted")


def test_e27_a_mask_that_no_attack_moved(sane: Subject) -> None:
    for iou, verdict in ((1.0, "fail"), (0.97, "pass"), (None, "not applicable")):
        assert checks.mask_moves(replace(sane, adaptive=iou))["verdict"] == verdict


def test_e10_random_corners_fool_where_gradients_are_masked() -> None:
    """Scores of 1.8 eps ||w||_2: one of 1,000 corners gets there, a single start without gradients does not."""
    masked = behind(subject(torch.full((N,), 1.8), norm=2), quantized)
    found = checks.random_search(replace(masked, stands=torch.ones(N, dtype=torch.bool)))
    assert found["verdict"] == "fail"
    assert int(found["found"].split()[-2]) > N // 2


@pytest.mark.parametrize("fault", [zero_gradient, quantized])
def test_e11_no_gradient(sane: Subject, fault: Any) -> None:
    found = checks.zero_gradients(behind(sane, fault))
    assert (found["verdict"], found["severity"]) == ("fail", "F")
    assert found["found"] == f"{N} of {N} images without a gradient, 100.0% of open coordinates exactly zero"


def test_e11_warns_where_most_coordinates_have_no_gradient(sane: Subject) -> None:
    def first_color(images: Tensor) -> Tensor:
        return torch.cat([images[:, :1], images[:, 1:].detach()], 1)

    found = checks.zero_gradients(behind(sane, first_color))
    assert (found["verdict"], found["severity"]) == ("fail", "W")
    assert found["found"] == f"0 of {N} images without a gradient, 66.7% of open coordinates exactly zero"


def test_e11_an_image_of_which_nothing_is_kept_hides_no_gradient(sane: Subject) -> None:
    mask = sane.mask.clone()
    mask[:2] = False
    found = checks.zero_gradients(replace(sane, mask=mask))
    assert (found["verdict"], found["found"].split(",")[0]) == ("pass", f"0 of {N} images without a gradient")


def test_e12_a_gradient_that_is_not_the_models_own(sane: Subject) -> None:
    found = checks.real_gradients(behind(sane, straight_through))
    assert (found["verdict"], found["found"]) == ("fail", f"relative error at most 1 % on 0% of {N} images")


def kinked(images: Tensor) -> Tensor:
    """One pixel goes up and down, in pieces of 4e-5."""
    pixel = torch.zeros_like(images[:1])
    pixel[0, 0, 2, 3] = 10
    return images + pixel * (images % 8e-5 - 4e-5).abs()


@pytest.mark.parametrize(("steps", "verdicts"), [
    (checks.STEPS, ("pass", "pass")), ((1e-4,), ("fail", "pass")), ((1e-6,), ("pass", "fail")),
])  # fmt: skip
def test_e12_neither_kinks_nor_a_loss_close_to_zero_are_a_false_gradient(
    sane: Subject, monkeypatch: pytest.MonkeyPatch, steps: tuple[float, ...], verdicts: tuple[str, str]
) -> None:
    """Each looks like one to a single step: 1e-4 crosses the kinks, 1e-6 drowns a loss of 1e-9 in its rounding."""
    monkeypatch.setattr(checks, "STEPS", steps)
    sure = subject(torch.ones(N))
    score = sure.network(sure.images * sure.mask)[:, 1].mean().item()
    sure = replace(sure, network=Linear(sure.network.weight, 20 / score))
    found = [checks.real_gradients(one) for one in (behind(sane, kinked), sure)]
    assert tuple(check["verdict"] for check in found) == verdicts


def test_e13_probabilities(sane: Subject) -> None:
    class Softmax(Linear):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images).softmax(1)

    found = checks.logits(replace(sane, network=Softmax(sane.network.weight)))
    assert (found["verdict"], found["found"]) == ("fail", "rows are probabilities")


def test_e14_saturated_logits_are_said_and_do_not_blind_our_attack() -> None:
    sure = subject(torch.linspace(0.2, 2.0, N))
    sure = replace(sure, network=Linear(sure.network.weight, 1000.0))
    found = checks.saturation(sure)
    assert found["found"].startswith("100.0% saturated; ")
    assert found["verdict"] == "pass"
    blind = checks.saturation(replace(sure, ladder={"pgd": PGD(steps=10, loss="cross_entropy")}))
    assert (blind["verdict"], blind["severity"]) == ("fail", "W")


def test_e15_a_random_model(sane: Subject) -> None:
    found = checks.repeatable(behind(sane, lambda images: images + torch.randn_like(images) / 10))
    assert (found["verdict"], found["severity"]) == ("fail", "F")


def test_e15_a_strategy_is_what_it_is_declared_to_be(sane: Subject) -> None:
    def by_chance(images: Tensor) -> Tensor:
        return sane.model(images + torch.randn_like(images) / 10)

    undeclared = checks.repeatable(replace(sane, pipeline=by_chance))
    assert (undeclared["verdict"], undeclared["severity"]) == ("fail", "F")
    assert checks.repeatable(replace(sane, pipeline=by_chance, behaviour="random"))["verdict"] == "pass"
    for_nothing = checks.repeatable(replace(sane, pipeline=sane.model, behaviour="random"))
    assert (for_nothing["verdict"], for_nothing["severity"]) == ("fail", "W")
    assert checks.repeatable(replace(sane, pipeline=sane.model))["verdict"] == "pass"


def test_e15_sees_two_opposite_logits_move() -> None:
    """Each divided by its own length would be the same twice."""
    assert difference(torch.tensor([[3.0, -4.0]]), torch.tensor([[3.0, -4.0]])) == 0
    assert difference(
        torch.tensor([[3.0, -3.0], [0.0, 5.0]]), torch.tensor([[3.3, -3.3], [0.0, 5.0]])
    ) == pytest.approx(0.3 / 18**0.5)


def test_e17_a_mask_that_is_computed_from_the_image(sane: Subject) -> None:
    found = checks.dynamic(replace(sane, behaviour="dynamic"))
    assert (found["verdict"], found["severity"]) == ("fail", "W")
    assert checks.dynamic(replace(sane, behaviour="dynamic", adaptive=0.5))["verdict"] == "pass"


def test_e18_a_rough_loss(sane: Subject) -> None:
    found = checks.stable(behind(sane, lambda images: images + 0.2 * (images * 3000).sin()))
    assert found["verdict"] == "fail"


def test_e20_points_of_a_twin_break_a_model_that_masks_its_gradient() -> None:
    twin = subject(torch.full((N,), 0.9))
    weight, mask = twin.network.weight, twin.mask
    points = twin.images - EPS * weight.sign() * mask
    assert checks.transfer(replace(twin, transferred=points))["verdict"] == "pass"
    masked = replace(behind(twin, quantized), transferred=points, stands=torch.ones(N, dtype=torch.bool))
    found = checks.transfer(masked)
    assert (found["verdict"], found["severity"]) == ("fail", "F")
    assert found["found"].endswith(f": {N} fall to points made on the full model")
    assert checks.transfer(twin)["verdict"] == "not applicable"


class Leaky(Black):
    """Lets a trace of the dropped pixels through."""

    def __call__(self, images: Tensor, mask: Tensor) -> Tensor:
        return torch.where(mask, images, images * 1e-3)


def test_e25_dropped_pixels_that_leak(sane: Subject) -> None:
    found = checks.constant_mask(replace(sane, fill=Leaky(name="black")))
    assert (found["verdict"], found["severity"], found["found"]) == ("fail", "F", "logits differ")
    assert checks.constant_mask(replace(sane, behaviour="dynamic"))["verdict"] == "not applicable"


def test_e25_a_map_that_says_it_is_static_and_is_not(sane: Subject) -> None:
    """Its masks, made anew, follow the brightness of pixels that it drops."""

    def brightest(images: Tensor) -> Tensor:
        seen = images.mean(1, keepdim=True)
        mask = seen >= seen.flatten(1).median(1).values.view(-1, 1, 1, 1)
        return sane.network(images * mask)

    assert checks.constant_mask(replace(sane, pipeline=brightest))["verdict"] == "fail"
    assert checks.constant_mask(replace(sane, pipeline=sane.model))["verdict"] == "pass"
