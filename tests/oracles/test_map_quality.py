"""Scores of maps against brute force, hand-made cases and a network whose pixels are known."""

from collections.abc import Callable, Iterator
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from scipy.stats import spearmanr
from torch import Tensor, nn

from pixelprune import sampling
from pixelprune.attacks.balls import L2Ball, LinfBall
from pixelprune.attacks.threat import Threat
from pixelprune.draws import Draws
from pixelprune.errors import ParamsError
from pixelprune.fills.black import Black
from pixelprune.maps import many_gradients
from pixelprune.maps.gradient import Gradient
from pixelprune.measures import deletion, randomisation, road, settings, stability
from pixelprune.measures.catalog import Measure
from pixelprune.measures.map_quality import MapQuality
from pixelprune.measures.map_scores import Asked
from pixelprune.measures.measure import Measured, Seen, Subject
from pixelprune.measures.ranks import spearman, tau
from pixelprune.measures.ssim import ssim
from pixelprune.models.residual import Residual


def rand(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def asked(network: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor | None = None) -> Asked:
    examples = (255 * rand(10, *images.shape[2:], 3, seed=7)).byte().numpy()
    answers = torch.zeros(len(images), dtype=torch.int64) if labels is None else labels
    return Asked(network, images, answers, np.arange(len(images)), examples)  # type: ignore[arg-type]


@pytest.fixture(scope="module", autouse=True)
def small_chunks() -> Iterator[None]:
    """64 images of 8 x 8: chunks are filled up, and would be with thousands of these small ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(many_gradients, "CHUNK", 64 * 64)
        yield


# Ranks and similarity


def test_spearman_is_that_of_every_image_with_ties() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 5, (2, 6, 4, 5)).astype(np.float32)
    expected = [spearmanr(a.ravel(), b.ravel())[0] for a, b in zip(first, second)]
    np.testing.assert_allclose(spearman(first, second), expected, atol=1e-12)
    np.testing.assert_allclose(spearman(first, np.exp(first)), 1)
    np.testing.assert_allclose(spearman(first, -first), -1)
    assert (spearman(first, np.zeros_like(first)) == 0).all()


def tau_b(first: np.ndarray, second: np.ndarray) -> float:
    pairs = list(combinations(range(len(first)), 2))
    one, other = (np.array([np.sign(values[i] - values[j]) for i, j in pairs]) for values in (first, second))
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))


@pytest.mark.parametrize("levels", [3, 1000])
def test_tau_counts_pairs(levels: int) -> None:
    for seed in range(20):
        first, second = np.random.default_rng(seed).integers(0, levels, (2, 9)).astype(float)
        assert tau(first, second) == pytest.approx(tau_b(first, second))
    assert tau(np.ones(4), np.arange(4.0)) == 0
    assert tau(np.ones(1), np.ones(1)) == 0


def test_ssim_of_a_map_with_itself_is_1_and_one_window_is_its_formula() -> None:
    first, second = rand(5, 13, 12).double(), rand(5, 13, 12, seed=2).double()
    torch.testing.assert_close(ssim(first, 3 * first - 1), torch.ones(5).double())
    torch.testing.assert_close(ssim(first, second), ssim(second, first))
    assert (ssim(first, 1 - first) < 0).all()

    x, y = (values[0, :7, :7].numpy() for values in (first, second))
    found = float(ssim(torch.from_numpy(x)[None], torch.from_numpy(y)[None]))  # one window: the largest that fits
    x, y = ((values - values.min()) / (values.max() - values.min()) for values in (x, y))
    line = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 1.5**2))
    weight = np.outer(line, line) / line.sum() ** 2
    mx, my = (weight * x).sum(), (weight * y).sum()
    vx, vy, cov = (weight * (x - mx) ** 2).sum(), (weight * (y - my) ** 2).sum(), (weight * (x - mx) * (y - my)).sum()
    expected = (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    assert found == pytest.approx(expected)


# Deletion and insertion

WEIGHT = torch.tensor([[0.4, 0.05, 0.1, 0.02], [0.03, 0.25, 0.07, 0.08]])
"""What each pixel of a white image of 2 x 4 adds to the probability of class 0; 1 in all."""


def weighing(images: Tensor) -> Tensor:
    probability = (images.mean(1) * WEIGHT).sum((1, 2)).clamp(1e-12, 1)
    return torch.stack([probability, (1 - probability).clamp(min=1e-12)], 1).log()


def test_deletion_and_insertion_are_what_one_computes_by_hand() -> None:
    """In the order of the weights, black pixels take 0.4, 0.25, 0.1, ... away, white ones bring them."""
    case = asked(weighing, torch.ones(1, 3, 2, 4))
    taken = np.sort(WEIGHT.flatten().numpy())[::-1].cumsum()
    curve = np.concatenate([[1], 1 - taken])
    expected = (curve[:-1] + curve[1:]).sum() / 16
    deleted, inserted = deletion.areas(case, WEIGHT[None].numpy(), torch.zeros(1, 3, 2, 4), 8)
    assert deleted == pytest.approx(expected, abs=1e-6)
    assert inserted == pytest.approx(1 - expected, abs=1e-6)
    backwards, _ = deletion.areas(case, -WEIGHT[None].numpy(), torch.zeros(1, 3, 2, 4), 8)
    assert backwards == pytest.approx(1 - expected, abs=1e-6)  # what the last pixels leave is what the first bring
    few, _ = deletion.areas(case, WEIGHT[None].numpy(), torch.zeros(1, 3, 2, 4), 2)
    assert few == pytest.approx((1 / 2 + (1 - taken[3])) / 2, abs=1e-6)


def test_deletion_goes_pixel_by_pixel_to_its_baseline() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(90, 4)).eval().requires_grad_(False)
    images, ranking = rand(3, 3, 5, 6), rand(3, 5, 6, seed=4).numpy()
    case = asked(network, images)
    for substrate in deletion.baselines(case, 2.0).values():
        found = deletion.areas(case, ranking, substrate, 30)
        for row in range(3):
            order = np.argsort(-ranking[row].ravel())
            for start, end, area in ((images, substrate, found[0]), (substrate, images, found[1])):
                now, goal, sure = start[row].clone().flatten(1), end[row].flatten(1), []
                for pixel in [None, *order]:
                    if pixel is not None:
                        now[:, pixel] = goal[:, pixel]
                    chance = network(now.view(1, 3, 5, 6)).softmax(1)[0]
                    sure.append(float(chance[network(images[row : row + 1]).argmax()]))
                assert area[row] == pytest.approx((sum(sure) - sure[0] / 2 - sure[-1] / 2) / 30, abs=1e-5)


def test_baselines_hold_what_their_names_say() -> None:
    images = rand(2, 3, 5, 6)
    case = asked(weighing, images)
    found = deletion.baselines(case, 1.5)
    assert list(found) == ["black", "mean", "blur", "noise"]
    assert all(each.shape == images.shape for each in found.values())
    assert (found["black"] == 0).all()
    np.testing.assert_allclose(found["mean"][1, :, 4, 3], case.examples.mean((0, 1, 2)) / 255, atol=1e-6)
    assert torch.equal(found["noise"][0], found["noise"][1])
    total, weights = torch.zeros(3), 0.0
    for i, j in product(range(5), range(6)):
        weight = float(np.exp(-((i - 1) ** 2 + (j - 4) ** 2) / (2 * 1.5**2)))
        total, weights = total + weight * images[1, :, i, j], weights + weight
    torch.testing.assert_close(found["blur"][1, :, 1, 4], total / weights)


# ROAD


def share_of(i: int, j: int, down: int, across: int, height: int, width: int) -> float:
    """By the definition, for one neighbour of one pixel."""
    inside = [
        (a, b)
        for a, b in product((-1, 0, 1), repeat=2)
        if (a, b) != (0, 0) and 0 <= i + a < height and 0 <= j + b < width
    ]
    sizes = {(a, b): 1 / 12 if a and b else 1 / 6 for a, b in inside}
    return sizes[down, across] / sum(sizes.values())


def test_removed_pixels_solve_their_equations() -> None:
    images, removed = rand(6, 3, 5, 7), rand(6, 1, 5, 7, seed=3) < torch.linspace(0, 0.9, 6).view(6, 1, 1, 1)
    found = road.imputed(images, removed, 0.0, Draws.of(np.arange(6), 0))
    assert torch.equal(found[0], images[0])
    assert torch.equal(found[~removed.expand_as(found)], images[~removed.expand_as(found)])
    for image, gone in zip(found.double(), removed[:, 0]):
        for i, j in gone.nonzero().tolist():
            mean = torch.zeros(3, dtype=torch.float64)
            for down, across in product((-1, 0, 1), repeat=2):
                if (down, across) != (0, 0) and 0 <= i + down < 5 and 0 <= j + across < 7:
                    mean += share_of(i, j, down, across, 5, 7) * image[:, i + down, j + across]
            torch.testing.assert_close(image[:, i, j], mean, atol=1e-6, rtol=0)


def test_a_hole_in_a_slope_is_filled_with_the_slope() -> None:
    down, across = torch.meshgrid(torch.arange(9.0), torch.arange(8.0), indexing="ij")
    images = (0.1 + 0.05 * down + 0.04 * across).expand(1, 3, -1, -1).contiguous()
    removed = torch.zeros(1, 1, 9, 8, dtype=torch.bool)
    removed[..., 2:7, 1:6] = True
    filled = road.imputed(images, removed, 0.0, Draws.of(np.arange(1), 0))
    torch.testing.assert_close(filled, images, atol=1e-6, rtol=0)


def test_noise_lies_on_the_removed_pixels_alone() -> None:
    images = torch.full((200, 3, 6, 6), 0.5)
    removed = (rand(200, 1, 6, 6) < 0.5).expand(-1, 3, -1, -1)
    found = road.imputed(images, removed[:, :1], 0.05, Draws.of(np.arange(200), 0))
    assert (found[~removed] == 0.5).all()
    assert float((found[removed] - 0.5).std()) == pytest.approx(0.05, rel=0.03)
    assert float((found[removed] - 0.5).mean()) == pytest.approx(0, abs=0.002)
    again = road.imputed(images[5:], removed[5:, :1], 0.05, Draws.of(np.arange(5, 200), 0))
    assert torch.equal(again, found[5:])


def test_nothing_can_be_guessed_from_nothing() -> None:
    removed = torch.tensor([False, True]).view(2, 1, 1, 1).expand(2, 1, 4, 4)
    with pytest.raises(ParamsError, match="needs a pixel of every image"):
        road.imputed(rand(2, 3, 4, 4), removed, 0.0, Draws.of(np.arange(2), 0))


def test_the_first_pixels_fall_first_and_the_last_stay() -> None:
    """A bright quarter decides: without it the guess is dark, without the rest it is still bright."""
    images = torch.full((3, 3, 8, 8), 0.1)
    images[..., :4, :4] = 0.9
    case = asked(lambda x: torch.stack([x[..., :4, :4].mean((1, 2, 3)), torch.full((len(x),), 0.5)], 1), images)
    found = road.right(case, images[:, 0].numpy(), (0.25, 0.5), 0.01, Draws.of(np.arange(3), 0))
    assert found.shape == (2, 2, 3)
    assert not found[0].any()
    assert found[1].all()


# Other weights, other images, other settings


def test_weights_are_drawn_anew_from_the_top() -> None:
    network = Residual(widths=(4, 8), stride=1).build(3, sampling.torch_generator(0)).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for share, expected in ((0.01, 1), (0.5, round(len(layers) / 2)), (1.0, len(layers))):
        other, count = randomisation.randomised(network, share, sampling.torch_generator(1))
        now = other.state_dict()
        changed = [name for name in layers if not torch.equal(now[f"{name}.weight"], before[f"{name}.weight"])]
        assert count == expected
        assert changed == layers[-expected:]
        rest = [name for name in before if name.rpartition(".")[0] not in layers]
        assert all(torch.equal(now[name], before[name]) for name in rest)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_change_of_a_mask_is_1_less_intersection_over_union() -> None:
    first = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]]).bool().view(3, 1, 2, 2)
    second = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0]]).bool().view(3, 1, 2, 2)
    torch.testing.assert_close(stability.changed(first, second), torch.tensor([0, 1, 2 / 3]))


@pytest.mark.parametrize("ball", [LinfBall(eps=0.1), L2Ball(eps=0.5)], ids=["linf", "l2"])
def test_attack_and_noise_stay_in_the_ball_and_the_attack_changes_the_answer(ball: Any) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).eval().requires_grad_(False)
    case = asked(network, 0.2 + 0.6 * rand(20, 3, 8, 8))
    found = stability.neighbours(case, ball, 10, Draws.of(np.arange(20), 0))
    sizes = {way: ball.length(images - case.images) for way, images in found.items()}
    assert all((size <= ball.eps + 1e-6).all() for size in sizes.values())
    torch.testing.assert_close(sizes["noise"], torch.full((20,), ball.eps), atol=1e-4, rtol=0)
    changed = {
        way: float((network(images).argmax(1) != case.predicted).float().mean()) for way, images in found.items()
    }
    assert changed["attack"] > changed["noise"] + 0.3


def test_settings_are_compared_two_by_two() -> None:
    made = settings.variants((4, 8), (2,), (5, 6, 7))
    assert {setting: list(entries) for setting, entries in made.items()} == {
        "occlusion size": [4, 8], "occlusion stride": [2], "rise masks": [5, 6, 7],
    }  # fmt: skip
    network = Residual(widths=(4, 8), stride=1).build(3, sampling.torch_generator(0)).eval().requires_grad_(False)
    found = list(settings.agreement(asked(network, rand(2, 3, 8, 8)), made))
    assert [row[:3] for row in found] == [
        ("occlusion size", 4, 8), ("rise masks", 5, 6), ("rise masks", 5, 7), ("rise masks", 6, 7),
    ]  # fmt: skip
    same = Gradient(name="gradient", reads=settings.ANY)
    ((_, _, _, rho),) = settings.agreement(asked(network, rand(2, 3, 8, 8)), {"same": {1: same, 2: same}})
    np.testing.assert_allclose(rho, 1)


# The measure


class Quarter(nn.Module):
    """Says how bright the upper left quarter is; nothing else counts."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 2, 1)
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            self.features.weight.copy_(torch.tensor([[5.0] * 3, [-5.0] * 3]).view(2, 3, 1, 1))
            self.features.bias.copy_(torch.tensor([0.0, 15.0]))
            self.head.weight.copy_(torch.eye(2))
            self.head.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images).relu()[..., :4, :4].mean((2, 3)))
        return logits


def subject(network: nn.Module, images: Tensor) -> Subject:
    network.eval().requires_grad_(False)
    labels = network(images).argmax(1)
    seen = Seen(images, labels, np.arange(10, 10 + len(images)), torch.ones_like(images[:, :1], dtype=torch.bool))
    threat = Threat.model_validate({"norm": "linf", "eps": "8/255"})
    return Subject(network, Black(name="black"), seen, seen, threat, 0, tell=lambda line: None)


SMALL = {
    "name": "map_quality", "images": 12, "steps": 8, "again": 3, "sizes": (2, 4), "strides": (1, 2), "masks": (5, 9),
    "maps": {"gradient": {"name": "gradient"}, "cam": {"name": "grad_cam"}, "few": {"name": "rise", "masks": 20}},
}  # fmt: skip


@pytest.fixture(scope="module")
def planted() -> Measured:
    """Each image is bright or dark where the network looks, and the opposite elsewhere."""
    images = 0.2 + 0.2 * rand(16, 3, 8, 8)
    images[8:] += 0.4
    images[..., :4, :4] = 1 - images[..., :4, :4]
    measure: MapQuality = TypeAdapter(Measure).validate_python(SMALL)
    return measure(subject(Quarter(), images[::2].repeat(2, 1, 1, 1)))


def test_a_map_that_finds_the_pixels_wins(planted: Measured) -> None:
    road_, auc = planted.summary["road"], planted.summary["auc"]
    assert road_["gradient"]["morf"]["0.3"]["accuracy"] == 0
    assert all(road_["gradient"]["lerf"][share]["accuracy"] == 1 for share in ("0.1", "0.3", "0.5", "0.7"))
    for baseline in ("black", "mean", "blur", "noise"):
        gradient, random = auc["gradient"][baseline], auc["random"][baseline]
        assert gradient["insertion"]["mean"] > random["insertion"]["mean"]
        assert gradient["deletion"]["mean"] < random["deletion"]["mean"]


def test_controls_do_not_answer_the_network(planted: Measured) -> None:
    for control in ("random", "blurred_random", "sobel"):
        for same in planted.summary["randomisation"][control].values():
            assert same["spearman"]["mean"] == pytest.approx(1)
            assert same["ssim"]["mean"] == pytest.approx(1)
    for control in ("random", "blurred_random"):
        assert planted.summary["stability"][control]["attack"]["changed"]["mean"] == 0
    assert planted.summary["stability"]["sobel"]["noise"]["changed"]["mean"] > 0


def test_the_summary_is_that_of_its_tables(planted: Measured) -> None:
    names = ["random", "blurred_random", "sobel", "gradient", "cam", "few"]
    assert planted.summary["maps"] == names and planted.summary["images"] == 12
    rows = {name: len(table) for name, table in planted.tables.items()}
    layers, pairs = 2, 3  # shares 0.01 and 0.5 of two layers are the same one
    assert rows == {
        "auc": 6 * 4 * 12, "road": 6 * 2 * 5 * 12, "randomisation": 6 * layers * 3, "stability": 6 * 2 * 12,
        "settings": pairs * 3,
    }  # fmt: skip
    assert {len(table["image"].unique()) for table in planted.tables.values()} == {12, 3}
    assert planted.tables["auc"]["image"].min() == 10
    assert all(len(each) == layers for each in planted.summary["randomisation"].values())
    auc = planted.tables["auc"].query("map == 'cam' and baseline == 'blur'")
    found = planted.summary["auc"]["cam"]["blur"]["deletion"]
    assert found["mean"] == pytest.approx(auc["deletion"].mean()) and found["n"] == 12
    assert found["low"] <= found["mean"] <= found["high"]
    table = planted.tables["auc"].pivot_table("insertion", "map", "baseline").loc[names]
    expected = tau_b(table["black"].to_numpy(), table["noise"].to_numpy())
    assert planted.summary["tau"]["insertion"]["black and noise"] == pytest.approx(expected)
    everything = [value for pairs_ in planted.summary["tau"].values() for value in pairs_.values()]
    assert len(everything) == 12 and planted.summary["least_tau"] == min(everything)
    depends = planted.summary["baselines"] == "the ranking depends on the baseline"
    assert depends == (min(everything) < 0.8)
    assert planted.pictures["maps"].shape == (6 * 8, 7 * 8, 3) and planted.pictures["maps"].dtype == np.uint8


def test_maps_are_named_with_their_options_and_read_nothing() -> None:
    measure = MapQuality.model_validate({
        "name": "map_quality", "maps": {"many": {"name": "smoothgrad", "samples": 3}, "edges": {"name": "sobel"}},
    })  # fmt: skip
    assert measure.maps["many"].model_dump()["samples"] == 3
    assert measure.maps["edges"].reads == "data/raw"
    assert MapQuality.model_validate_json(measure.model_dump_json()) == measure
    assert len(MapQuality(name="map_quality").maps) == 7
    wrongs = [{"a": {"name": "foreground"}}, {"a": {"name": "nonsense"}}, {"a": {}}, {"a-b": {"name": "sobel"}}]
    for wrong in [*wrongs, {"a": {"name": ["sobel"]}}, {"random": {"name": "sobel"}}]:
        with pytest.raises(ValidationError):
            MapQuality.model_validate({"name": "map_quality", "maps": wrong})
