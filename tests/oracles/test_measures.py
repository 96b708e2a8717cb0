"""psi, the decision surface and the probability of random points, against closed forms on linear models."""

from math import log

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from pixelprune.attacks.balls import LinfBall
from pixelprune.attacks.losses import margin
from pixelprune.attacks.pgd import PGD
from pixelprune.draws import Draws
from pixelprune.measures.divergence import Divergence, farthest
from pixelprune.measures.measure import Seen
from pixelprune.measures.probabilistic import Probabilistic
from pixelprune.measures.psi import Psi, stands
from pixelprune.measures.surface import ZERO, Surface, directions, picture
from pixelprune.measures.temperature import calibrated
from tests.oracles.shared_subject import subject

SIDE, EPS = 6, 0.1


def rand(*shape: int, seed: int = 3) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def linear(classes: int = 2, scale: float = 1.0) -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, classes))
    last = network[1]
    assert isinstance(last, nn.Linear)
    last.weight.data = scale * 0.3 * (rand(classes, 3 * SIDE**2) - 0.5)
    last.bias.data = scale * 0.1 * rand(classes, seed=4)
    return network


def binary_divergence(clean: Tensor, moved: Tensor) -> Tensor:
    """KL of two classes, from the difference of their logits."""
    p, q = torch.sigmoid(clean.double()), torch.sigmoid(moved.double())
    return p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()


def closed_form(network: nn.Module, seen: Seen, mask: Tensor, temperature: float, eps: float = EPS) -> Tensor:
    """The divergence is convex in the logits' difference, so it is largest at one of the two ends."""
    last = network[1]  # type: ignore[index]
    weight = (last.weight[1] - last.weight[0]).view(3, SIDE, SIDE)
    logits = network(seen.images * seen.mask)
    clean, reach = logits[:, 1] - logits[:, 0], eps * (weight.abs() * mask).sum((1, 2, 3))
    ends = [binary_divergence(clean / temperature, (clean + side * reach) / temperature) for side in (-1, 1)]
    return torch.maximum(*ends)


@pytest.mark.parametrize("keep", [0.4, 1.0])
def test_on_two_classes_of_a_linear_model_psi_is_the_closed_form(keep: float) -> None:
    network = linear()
    given = subject(network, count=12, side=SIDE, keep=keep, eps=EPS)
    measured = Psi(name="psi", stability=True)(given)
    rows = measured.tables["psi"].query("access == 'masked'")
    temperature = measured.summary["temperature"]["value"]
    for eps, setting in ((EPS, "as it is"), (EPS / 2, "half eps"), (2 * EPS, "twice eps")):
        wanted = closed_form(network, given.test, given.test.mask, temperature, eps).numpy()
        found = measured.tables["stability"].set_index("setting").loc[setting]
        assert found["mean_kl"] == pytest.approx(wanted.mean(), rel=1e-4)
        assert found["median_psi"] == pytest.approx(np.median(1 / wanted), rel=1e-4)
        if eps == EPS:
            np.testing.assert_allclose(rows["kl"], wanted, rtol=1e-4)
            np.testing.assert_allclose(rows["psi"], 1 / wanted, rtol=1e-4)
            assert measured.summary["masked"]["mean_psi"] == pytest.approx((1 / wanted).mean(), rel=1e-4)
            assert measured.summary["masked"]["one_over_mean_kl"] == pytest.approx(1 / wanted.mean(), rel=1e-4)
    assert rows["image"].tolist() == given.test.ids.tolist()
    assert measured.summary["masked"]["passes"] == 2 + 2 * (21 + 20)
    # The right class falls where the logits' difference can be pushed over zero: the label's own closed form.
    weight = (network[1].weight[1] - network[1].weight[0]).view(3, SIDE, SIDE)  # type: ignore[index]
    logits = network(given.test.images * given.test.mask)
    reach = EPS * (weight.abs() * given.test.mask).sum((1, 2, 3))
    assert rows["robust"].tolist() == (-margin(logits, given.test.labels) >= reach).tolist()


def test_free_writes_everywhere_and_computes_the_mask_anew() -> None:
    network = linear()
    given = subject(network, count=12, side=SIDE, keep=0.4, eps=EPS)
    table = Psi(name="psi")(given).tables["psi"]
    masked, free = (table[table["access"] == where]["kl"].to_numpy() for where in ("masked", "free"))
    assert (free != masked).all()
    assert not np.allclose(free, masked, rtol=1e-3)
    oracle = Psi(name="psi")(subject(network, count=12, side=SIDE, keep=0.4, eps=EPS, oracle=True))
    assert oracle.summary["free"] is None
    everything = Psi(name="psi")(subject(network, count=12, side=SIDE, keep=1.0, eps=EPS))
    assert everything.summary["free"] == everything.summary["masked"]


def test_what_is_found_lies_on_the_mask_in_the_ball_and_has_the_divergence_it_says() -> None:
    network, images = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 4), nn.Tanh()), rand(5, 3, SIDE, SIDE)
    nn.init.uniform_(network[1].weight, -1, 1, generator=torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    network.requires_grad_(False)
    mask = rand(5, 1, SIDE, SIDE, seed=9) < 0.5
    divergence = Divergence.of(network, images, 0.5)
    draws = Draws.of(np.arange(5), 0)
    found = farthest(divergence, images, ball=LinfBall(eps=EPS), mask=mask, steps=8, restarts=3, draws=draws)
    moved = found.points - images
    assert (moved * ~mask == 0).all() and moved.abs().max() <= EPS + 1e-6
    assert found.points.min() >= 0 and found.points.max() <= 1
    clean, now = (torch.softmax(network(x).double() / 0.5, 1) for x in (images, found.points))
    torch.testing.assert_close(found.margins.double(), (clean * (clean / now).log()).sum(1), atol=1e-6, rtol=1e-5)
    fewer = farthest(divergence, images, ball=LinfBall(eps=EPS), mask=mask, steps=8, restarts=1, draws=draws)
    assert (fewer.margins <= found.margins).all()


def test_psi_does_not_depend_on_the_scale_of_the_logits() -> None:
    one, seven = (
        Psi(name="psi")(subject(linear(3, scale), count=12, side=SIDE, eps=EPS)) for scale in (1.0, 7.0)
    )  # fmt: skip
    assert seven.summary["temperature"]["value"] == pytest.approx(7 * one.summary["temperature"]["value"], rel=1e-4)
    np.testing.assert_allclose(one.tables["psi"]["psi"], seven.tables["psi"]["psi"], rtol=1e-3)


def test_a_constant_classifier_is_infinitely_robust_and_says_so() -> None:
    network = linear(3)
    network[1].weight.data.zero_()  # type: ignore[index,union-attr,operator]
    summary = Psi(name="psi")(subject(network, side=SIDE, eps=EPS)).summary["masked"]
    assert (summary["median_psi"], summary["mean_psi"], summary["one_over_mean_kl"]) == (None, None, None)
    assert summary["infinite"] == 6 and summary["mean_kl"] == 0


def test_the_temperature_has_the_smallest_loss_and_no_minimum_where_every_label_is_right() -> None:
    logits, labels = 20 * rand(200, 4, seed=7), torch.randint(4, (200,), generator=torch.Generator().manual_seed(1))
    labels[:140] = logits[:140].argmax(1)

    def loss(temperature: float) -> float:
        return float(nn.functional.cross_entropy(logits.double() / temperature, labels))

    found = calibrated(logits, labels)
    assert found.inside
    grid = np.geomspace(0.1, 100, 3000)
    assert found.value == pytest.approx(grid[np.argmin([loss(value) for value in grid])], rel=3e-3)
    assert loss(found.value) <= min(loss(found.value * factor) for factor in (0.999, 1.001))
    assert not calibrated(logits, logits.argmax(1)).inside
    assert not calibrated(logits, logits.argmin(1)).inside
    assert not calibrated(torch.ones(5, 4), labels[:5]).inside


def test_pinsker_holds_on_random_pairs_and_is_as_sharp_as_it_can_be() -> None:
    rng = np.random.default_rng(0)
    sharpness, size = rng.uniform(0.1, 5, (40_000, 1)), (40_000, 4)
    p = rng.dirichlet(np.ones(4), size[0])
    q = p * np.exp(0.2 * sharpness * rng.normal(size=size))
    q /= q.sum(1, keepdims=True)
    kl, ordered = (p * np.log(p / q)).sum(1), np.sort(p, 1)
    told = stands(kl, ordered[:, -1] - ordered[:, -2])
    same = p.argmax(1) == q.argmax(1)
    assert 0.1 < told.mean() < 0.9 and not same.all()
    assert same[told].all()
    gap = np.array([0.01, 0.1])  # two classes that meet at 1/2: the label just about changes
    half = (1 + gap) / 2 * np.log(1 + gap) + (1 - gap) / 2 * np.log(1 - gap)
    assert not stands(half, gap).any()
    assert stands(half * 0.99, gap).all()


@pytest.mark.parametrize("keep", [0.4, 1.0])
def test_the_surface_of_a_linear_model_is_a_plane_of_known_slopes(keep: float) -> None:
    network = linear()
    given = subject(network, count=4, side=SIDE, keep=keep, eps=EPS)
    measured = Surface(name="surface", side=5, reach=1.0)(given)
    table = measured.tables["surface"]
    assert table["along"][:5].tolist() == [-1, -0.5, 0, 0.5, 1] and table["across"].nunique() == 5
    shown = picture(table["value"].to_numpy().reshape(4, 5, 5))
    assert np.array_equal(measured.pictures["surface"], shown)
    along, across = directions(
        given.model(given.test), given.test.images, given.test.labels, ball=LinfBall(eps=EPS), mask=given.test.mask,
        draws=given.draws(given.test, "surface"),
    )  # fmt: skip
    weight = (network[1].weight[1] - network[1].weight[0]).view(3, SIDE, SIDE)  # type: ignore[index]
    sign = given.test.labels * 2 - 1
    clean = -margin(given.model(given.test)(given.test.images), given.test.labels)
    lowest = clean - EPS * (weight.abs() * given.test.mask).sum((1, 2, 3))
    assert measured.summary["right_within_eps"]["share"] == float((lowest > 0).float().mean())
    for image, (number, points) in enumerate(table.groupby("image", sort=False)):
        assert number == given.test.ids[image] and len(points) == 25
        down = float((weight.abs() * given.test.mask[image]).sum() * EPS)
        side = float((sign[image] * weight * across[image]).sum())
        plane = float(clean[image]) - points["along"] * down + points["across"] * side
        np.testing.assert_allclose(points["value"], plane, atol=1e-5)
    for direction in (along, across):
        assert (direction * ~given.test.mask == 0).all()
        assert torch.equal(direction.abs().amax((1, 2, 3)), torch.full((4,), EPS))
        assert (direction.abs().isclose(torch.tensor(EPS)) | (direction == 0)).all()
    assert ((along * across).sum((1, 2, 3)).abs() <= EPS**2 * 1.01).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_within_eps_are_the_points_of_the_plane_that_lie_in_the_ball(norm: str) -> None:
    given = subject(linear(), count=40, side=SIDE, keep=1.0, eps=0.3 if norm == "l2" else 0.03, norm=norm)
    measured = Surface(name="surface", images=40, side=13, reach=1.5)(given)
    seen, ball = given.test, given.threat.ball()
    along, across = directions(
        given.model(seen), seen.images, seen.labels, ball=ball, mask=seen.mask, draws=given.draws(seen, "surface")
    )
    table = measured.tables["surface"]
    moves = torch.stack([
        float(i) * along[0] + float(j) * across[0] for i, j in zip(table["along"][:169], table["across"][:169])
    ])  # fmt: skip
    inside = moves.flatten(1).norm(dim=1, p=2 if norm == "l2" else torch.inf) <= ball.eps * 1.001
    lowest = table["value"].to_numpy().reshape(40, 169)[:, inside.numpy()].min(1)
    share = measured.summary["right_within_eps"]["share"]
    assert share == (lowest > 0).mean()
    assert 0.1 < share < 0.9


def test_the_picture_shows_the_boundary_where_it_is() -> None:
    ticks = np.linspace(-2, 2, 21, dtype=np.float32)
    shown = picture(np.stack([np.tile(0.51 - ticks, (21, 1)), np.tile(ticks[:, None] + 0.51, (1, 21))]))
    assert shown.shape == (161, 161 + 8 + 161, 3)
    first, second = shown[:, :161], shown[:, 169:]
    dark = (first == ZERO).all(2)
    assert dark.any(0).nonzero()[0].tolist() == [100, 101] and dark[:, 100:102].all()  # 0.51 of [-2, 2]
    assert (second == ZERO).all(2).any(1).nonzero()[0].tolist() == [100, 101]  # up is positive, so -0.51 lies below
    assert (first[:, 0, 2] > first[:, 0, 0]).all() and (first[:, -1, 0] > first[:, -1, 2]).all()  # right blue


class Level(nn.Module):
    """Class 1 where the first pixel of the first channel is above a level."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = level

    def forward(self, images: Tensor) -> Tensor:
        above = images[:, 0, 0, 0] - self.level
        return torch.stack([-above, above], 1)


def test_the_probability_of_random_points_is_within_gamma_of_the_closed_form() -> None:
    given = subject(Level(0.5), count=60, side=SIDE, keep=1.0, eps=EPS)
    measure = Probabilistic(name="probabilistic", sampled=60, attack=PGD(steps=5))
    measured = measure(given)
    away = (given.test.images[:, 0, 0, 0] - 0.5).abs().double() / EPS
    truth = ((1 + away) / 2).clamp(max=1).numpy()
    points = measured.tables["points"]
    off = np.abs(points["probability"] - truth) > measure.gamma
    assert off.sum() <= 9  # 60 * delta = 4.5, and luck
    assert points["image"].tolist() == given.test.ids.tolist()
    assert points["samples"][(away > 1).numpy()].max() == 87 and points["samples"].max() > 200
    # Robust accuracy: right, and farther from the level than eps; here 60 images are fewer than it needs.
    robust = (((given.test.images[:, 0, 0, 0] > 0.5).long() == given.test.labels) & (away >= 1)).double().mean()
    (row,) = measured.tables["robust"].to_dict("records")
    assert row["probability"] == pytest.approx(float(robust)) and row["samples"] == 60 and not row["known"]
    assert measured.summary["robust"] == {"attack": "pgd", **row}


def test_robust_accuracy_stops_as_soon_as_it_is_known() -> None:
    given = subject(Level(0.0), count=120, side=SIDE, keep=1.0, eps=EPS)
    given.test.labels.fill_(1)
    told = Probabilistic(name="probabilistic", sampled=1, attack=PGD(steps=2))(given).summary["robust"]
    assert (told["probability"], told["samples"], told["saved"], told["known"]) == (1.0, 87, 205, True)


def test_a_promise_that_cannot_be_kept_is_refused() -> None:
    with pytest.raises(ValueError, match="alpha < delta"):
        Probabilistic(name="probabilistic", delta=0.04)
    assert log(2 / 0.075) / (2 * 0.075**2) < Probabilistic(name="probabilistic").precision.chernoff == 292


def test_a_surface_has_the_image_in_its_middle() -> None:
    with pytest.raises(ValidationError, match="must be odd: the point in the middle is the image"):
        Surface(name="surface", side=4)
