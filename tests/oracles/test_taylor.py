"""Taylor pruning: scores against finite differences and trials, removal against gates of 0, budgets, rebuilding."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelprune import artifacts
from pixelprune.attacks.narrowing import Model
from pixelprune.defenses import filters, gates
from pixelprune.defenses.defense import Lesson, Perturb, as_they_are
from pixelprune.defenses.reshaped import reshaped
from pixelprune.defenses.taylor import AGREEMENT, OUTPUTS, Taylor, cut
from pixelprune.draws import Draws
from pixelprune.errors import TrainingError
from pixelprune.models.network import multiply_adds
from pixelprune.models.residual import Residual
from pixelprune.models.resnet18 import ResNet18

SIDE, CLASSES, N = 16, 4, 12
IMAGES = torch.rand(N, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(N) % CLASSES


class Joined(nn.Module):
    """Two convolutions side by side, with biases, normalized together and read by a third, which is flattened."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, 4), nn.Conv2d(3, 5, 3, 4)
        self.norm, self.last, self.head = nn.BatchNorm2d(9), nn.Conv2d(9, 3, 2), nn.Linear(3 * 9, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        both = torch.cat([self.one(images), self.two(images)], 1)
        return self.head(functional.gelu(self.last(functional.gelu(self.norm(both)))).flatten(1))


def lived(network: nn.Module) -> nn.Module:
    """With statistics, scales and shifts of BatchNorm as training would leave them: none is 0 or 1."""
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in (
                (module.weight, 0.5, 1.5), (module.bias, -0.5, 0.5), (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
            ):  # fmt: skip
                assert values is not None
                nn.init.uniform_(values, low, high, generator=generator)
    return network.eval().requires_grad_(False)


def residual() -> nn.Module:
    return lived(Residual(widths=(4, 6), blocks=2, stride=2).build(CLASSES, torch.Generator().manual_seed(0)))


def resnet18() -> nn.Module:
    return lived(ResNet18().build(CLASSES, torch.Generator().manual_seed(0)))


def joined() -> nn.Module:
    torch.manual_seed(0)
    return lived(Joined())


def loss(network: nn.Module, groups: list[filters.Group], values: list[Tensor], few: int = N) -> float:
    with torch.no_grad(), gates.gated(network, groups, values):
        return float(functional.cross_entropy(network(IMAGES[:few].double()), LABELS[:few]))


def bumped(groups: list[filters.Group], which: int, place: int, by: float) -> list[Tensor]:
    values = [torch.ones(group.size, dtype=torch.float64) for group in groups]
    values[which][place] += by
    return values


def slope(network: nn.Module, groups: list[filters.Group], which: int, place: int, few: int = N) -> float:
    up, down = (loss(network, groups, bumped(groups, which, place, by), few) for by in (1e-7, -1e-7))
    return (up - down) / 2e-7


@pytest.mark.parametrize("network", [residual(), joined()], ids=["residual", "joined"])
def test_the_first_order_is_the_square_of_the_slope_of_the_gated_loss(network: nn.Module) -> None:
    groups = filters.coupled(network.double(), SIDE, SIDE)
    found = gates.importance(network, groups, IMAGES.double(), LABELS, order=1, batch=N)
    for which, group in enumerate(groups):
        wanted = [slope(network, groups, which, place) ** 2 for place in range(group.size)]
        assert found[which].tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-12)


def test_the_first_order_of_some_filters_of_resnet18() -> None:
    network = resnet18().double()
    groups = filters.coupled(network, SIDE, SIDE)
    found = gates.importance(network, groups, IMAGES[:2].double(), LABELS[:2], order=1, batch=2)
    for which in range(0, len(groups), 4):
        assert float(found[which][3]) == pytest.approx(slope(network, groups, which, 3, 2) ** 2, rel=1e-3, abs=1e-10)


def test_the_second_order_is_the_expansion_to_zero_of_filters_that_are_read_once() -> None:
    """Along such a gate the logits of a ReLU network are linear as long as no ReLU changes its side."""
    network, step = residual().double(), 1e-4
    groups = filters.coupled(network, SIDE, SIDE)
    found = gates.importance(network, groups, IMAGES.double(), LABELS, order=2, batch=N)
    first = gates.importance(network, groups, IMAGES.double(), LABELS, order=1, batch=N)
    seen = 0
    for which, group in enumerate(groups):
        for place in range(group.size if len(group.writers) == len(group.readers) == 1 else 0):
            up, same, down = (loss(network, groups, bumped(groups, which, place, by)) for by in (step, 0, -step))
            change = (up - down) / (2 * step) - (up - 2 * same + down) / step**2 / 2
            assert float(found[which][place]) == pytest.approx(change**2, rel=2e-3, abs=1e-10)
            seen += float(found[which][place]) != pytest.approx(float(first[which][place]), rel=0.01)
    assert seen > 10


def test_the_second_order_of_filters_on_a_shortcut_is_gauss_newton() -> None:
    """From slopes J of the logits, by finite differences, and the softmax: the mean of J' (diag p - pp') J."""
    network, step = residual().double(), 1e-5
    groups = filters.coupled(network, SIDE, SIDE)
    found = gates.importance(network, groups, IMAGES.double(), LABELS, order=2, batch=N)
    (which,) = (place for place, group in enumerate(groups) if group.root == "1")
    assert len(groups[which].readers) > 2
    for place in range(groups[which].size):
        logits = []
        for by in (step, 0, -step):
            with torch.no_grad(), gates.gated(network, groups, bumped(groups, which, place, by)):
                logits.append(network(IMAGES.double()))
        slopes, p = (logits[0] - logits[2]) / (2 * step), torch.softmax(logits[1], 1)
        curvature = ((p * slopes**2).sum(1) - (p * slopes).sum(1) ** 2).mean()
        change = ((p - functional.one_hot(LABELS, CLASSES)) * slopes).sum(1).mean() - curvature / 2
        assert float(found[which][place]) == pytest.approx(float(change) ** 2, rel=1e-4)


def test_scores_of_batches_are_the_mean_of_their_squares() -> None:
    network = residual()
    groups = filters.coupled(network, SIDE, SIDE)
    for score in (
        lambda part, batch: gates.importance(network, groups, IMAGES[part], LABELS[part], order=2, batch=batch),
        lambda part, batch: gates.oracle(network, groups, IMAGES[part], LABELS[part], batch=batch),
    ):
        parts = [score(slice(start, start + 5), 5) for start in (0, 5, 10)]
        for own, whole in zip(zip(*parts), score(slice(N), 5)):
            torch.testing.assert_close(whole, (5 * own[0] + 5 * own[1] + 2 * own[2]) / 12)


@pytest.mark.parametrize("network", [residual(), joined()], ids=["residual", "joined"])
def test_the_oracle_takes_each_filter_out_of_the_network(network: nn.Module) -> None:
    groups = filters.coupled(network, SIDE, SIDE)
    found = gates.oracle(network, groups, IMAGES, LABELS, batch=N)
    whole = functional.cross_entropy(network(IMAGES), LABELS)
    for which, group in enumerate(groups):
        for place in range(group.size):
            stay = [torch.arange(other.size) != (place if other is group else -1) for other in groups]
            small = filters.removed(network, groups, stay, SIDE, SIDE)
            with torch.no_grad():
                change = whole - functional.cross_entropy(small(IMAGES), LABELS)
            assert float(found[which][place].sqrt()) == pytest.approx(float(change.abs()), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(
    "network",
    [residual(), joined(), resnet18()],
    ids=["residual", "joined", "resnet18"],
)
def test_without_filters_a_network_answers_as_with_gates_of_zero(network: nn.Module) -> None:
    """Half of every group at once: inner filters, and those that shortcuts carry on."""
    groups = filters.coupled(network, SIDE, SIDE)
    generator = torch.Generator().manual_seed(5)
    stay = [torch.rand(group.size, generator=generator) < 0.5 for group in groups]
    for own in stay:
        own[0] = True
    small = filters.removed(network, groups, stay, SIDE, SIDE)
    with torch.no_grad(), gates.gated(network, groups, [own.float() for own in stay]):
        masked = network(IMAGES[:4])
    with torch.no_grad():
        torch.testing.assert_close(small(IMAGES[:4]), masked, atol=1e-5, rtol=1e-5)
        assert (network(IMAGES[:4]) - masked).abs().max() > 1e-3  # the gates are gone, and they did something
    assert multiply_adds(small, SIDE, SIDE) < multiply_adds(network, SIDE, SIDE)
    for layer, kept in filters.left(network, groups, stay).items():
        weights = small.get_submodule(layer).weight
        assert len(weights) == len(kept) and kept.diff().gt(0).all()


def test_a_copy_of_the_right_sizes_takes_the_weights() -> None:
    network = joined()
    groups = filters.coupled(network, SIDE, SIDE)
    small = filters.removed(network, groups, [torch.arange(group.size) % 2 == 1 for group in groups], SIDE, SIDE)
    twin = reshaped(network, small.state_dict())
    assert torch.equal(twin(IMAGES), small(IMAGES)) and not any(weight.requires_grad for weight in twin.parameters())
    assert repr(twin) == repr(small) and len(network.one.weight) == 4
    with pytest.raises(RuntimeError, match="Missing key"):
        reshaped(network, {name: value for name, value in small.state_dict().items() if name != "one.weight"})


@pytest.mark.parametrize("share", [0.1, 0.4, 0.75])
def test_as_few_of_the_lowest_filters_go_as_the_budget_demands(share: float) -> None:
    network = residual()
    groups = filters.coupled(network, SIDE, SIDE)
    generator = torch.Generator().manual_seed(7)
    scores = [torch.rand(group.size, generator=generator) for group in groups]
    whole = multiply_adds(network, SIDE, SIDE)
    budget = (1 - share) * whole
    stay = filters.staying(network, groups, scores, SIDE, SIDE, budget)
    assert multiply_adds(filters.removed(network, groups, stay, SIDE, SIDE), SIDE, SIDE) <= budget
    gone = [(float(score[place]), which, place) for which, score in enumerate(scores) for place in range(len(score))
            if not stay[which][place]]  # fmt: skip
    _, which, place = max(gone)
    stay[which][place] = True
    assert multiply_adds(filters.removed(network, groups, stay, SIDE, SIDE), SIDE, SIDE) > budget
    for own, score in zip(stay, scores):
        low = [float(value) for value, kept in zip(score, own) if kept and value < max(gone)[0]]
        assert not low or low == [float(score.max())]  # the best of its group stays however low


def test_a_budget_below_one_filter_of_each_group_is_refused() -> None:
    network = residual()
    groups = filters.coupled(network, SIDE, SIDE)
    scores = [torch.zeros(group.size) for group in groups]
    least = filters.removed(network, groups, [torch.arange(len(score)) == 0 for score in scores], SIDE, SIDE)
    cost = multiply_adds(least, SIDE, SIDE)
    assert all(own.sum() == 1 for own in filters.staying(network, groups, scores, SIDE, SIDE, cost))
    with pytest.raises(TrainingError, match="keeps one filter"):
        filters.staying(network, groups, scores, SIDE, SIDE, cost - 1)


def test_what_the_network_answers_and_what_grouped_convolutions_read_is_left_whole() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(),
        nn.Conv2d(6, CLASSES, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip
    assert [group.root for group in filters.coupled(network, SIDE, SIDE)] == ["4"]


PICTURES = (255 * IMAGES.repeat(4, 1, 1, 1)).byte()


def lesson(told: list[str], perturb: Perturb = as_they_are, labels: Tensor = LABELS) -> Lesson:
    return Lesson(PICTURES, labels.repeat(4), torch.Generator().manual_seed(1), told.append, perturb)


def test_the_small_network_is_rebuilt_from_what_was_learned(tmp_path: Path) -> None:
    """Without fine-tuning it is the network with gates of 0 at all filters that are not listed as left."""
    network, told = residual(), []
    before = {name: value.clone() for name, value in network.state_dict().items()}
    taylor = Taylor(name="taylor", flops=0.5, rounds=2, images=24, batch=8, between=0, epochs=0)
    learned = taylor.learn(network, lesson(told))
    artifacts.save_tensors(tmp_path / "learned.safetensors", learned)
    learned = artifacts.load_tensors(tmp_path / "learned.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())

    small = cut(network, learned)
    whole = multiply_adds(network, SIDE, SIDE)
    assert 0.4 * whole < multiply_adds(small, SIDE, SIDE) <= 0.5 * whole and len(told) == 2
    groups = filters.coupled(network, SIDE, SIDE)
    values = [torch.zeros(group.size) for group in groups]
    for group, gate in zip(groups, values):
        for end in group.writers:
            gate[learned.get(OUTPUTS + end.layer, torch.arange(group.size))] = 1
    with gates.gated(network, groups, values):
        masked = network(IMAGES)
    answers = taylor.around(network, learned)(IMAGES, Draws.of(np.arange(N), 0))
    torch.testing.assert_close(answers, masked, atol=1e-5, rtol=1e-5)


def test_a_lesson_tells_how_its_scores_agree_with_leaving_filters_out() -> None:
    network = residual()
    taylor = Taylor(name="taylor", flops=0.3, rounds=2, images=24, batch=8, between=0, epochs=0, oracle_images=16)
    plain = taylor.model_copy(update={"oracle_images": 0})
    learned, without = (one.learn(network, lesson([])) for one in (taylor, plain))
    extra = {name for name in learned if name.startswith(AGREEMENT)}
    assert set(learned) - extra == set(without) and all(torch.equal(learned[name], without[name]) for name in without)

    own = lesson([])
    Draws.seeded(1, own.generator)  # of its noise, which natural examples do without
    images, labels = taylor.examples(network, own, torch.Generator())
    groups = filters.coupled(network, SIDE, SIDE)
    facts = taylor.facts(network, learned, SIDE, SIDE)
    for order in (1, 2):
        scores = gates.importance(network, groups, images[:16], labels[:16], order=order, batch=8)
        truth = gates.oracle(network, groups, images[:16], labels[:16], batch=8)
        wanted = gates.agreement(scores, truth)
        assert facts[f"pearson of order {order} with leaving out"] == pytest.approx(wanted.pearson, abs=1e-6)
        assert facts[f"spearman of order {order} with leaving out"] == pytest.approx(wanted.spearman, abs=1e-6)
    assert not any("leaving out" in name for name in taylor.facts(network, without, SIDE, SIDE))


def test_fine_tuning_lowers_the_loss_and_the_same_lesson_ends_alike() -> None:
    network = residual()
    labels = network(PICTURES[:N] / 255).argmax(1)
    told: list[str] = []
    taylor = Taylor(name="taylor", flops=0.6, rounds=2, images=24, batch=8, between=3, epochs=5)
    learned, again = (taylor.learn(network, lesson(told, labels=labels)) for _ in range(2))
    assert learned.keys() == again.keys() and all(torch.equal(value, again[name]) for name, value in learned.items())
    assert [line.split(":")[0] for line in told[:4]] == [
        "round 1/2", "fine-tuned in 3 steps", "round 2/2", "fine-tuned in 30 steps"
    ]  # fmt: skip
    raw = taylor.model_copy(update={"between": 0, "epochs": 0}).learn(network, lesson(told, labels=labels))
    losses = [functional.cross_entropy(cut(network, own)(IMAGES), labels) for own in (learned, raw)]
    assert losses[0] < losses[1]
    with pytest.raises(TrainingError, match="diverged"):
        taylor.model_copy(update={"learning_rate": 1e30}).learn(network, lesson(told, labels=labels))


def test_an_adversarial_criterion_perturbs_as_training_does_or_attacks() -> None:
    def darker(model: Model, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        return images / 2

    network, noise = residual(), torch.Generator().manual_seed(2)
    taylor = Taylor(name="taylor", criterion="adversarial", images=20, batch=8, eps=4 / 255)
    seen = {}
    for name, options, perturb in (
        ("clean", taylor.model_copy(update={"criterion": "natural"}), darker),
        ("trained", taylor, darker), ("attacked", taylor, as_they_are),
    ):  # fmt: skip
        seen[name], labels = options.examples(network, lesson([], perturb), noise)
        assert len(seen[name]) == len(labels) == 20
    torch.testing.assert_close(seen["trained"], seen["clean"] / 2)
    assert 0 < (seen["attacked"] - seen["clean"]).abs().max() <= 4 / 255 + 1e-6
    assert functional.cross_entropy(network(seen["attacked"]), labels) > functional.cross_entropy(
        network(seen["clean"]), labels
    )


def test_fine_tuning_learns_from_perturbed_images() -> None:
    asked = []

    def perturb(model: Model, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        assert isinstance(model, nn.Module) and not model.training
        asked.append(len(images))
        return torch.zeros_like(images)

    taylor = Taylor(name="taylor", rounds=1, images=8, batch=16, epochs=20, learning_rate=0.1)
    network, told = residual(), []
    learned = taylor.learn(network, lesson(told, perturb, labels=torch.full((N,), 2)))
    assert asked == [16] * 3 * 20
    assert (cut(network, learned)(torch.zeros(1, 3, SIDE, SIDE)).argmax(1) == 2).all()


def test_fine_tuning_learns_from_images_as_their_training_moved_them() -> None:
    seen: list[Tensor] = []

    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        assert images.dtype == torch.uint8
        return images.float() / 510

    def perturb(model: Model, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        seen.append(images)
        return images

    taylor = Taylor(name="taylor", rounds=1, images=8, batch=12, epochs=1)
    taylor.learn(residual(), replace(lesson([], perturb), augment=augment))
    rows = {tuple(image.flatten().tolist()) for image in torch.cat(seen)}
    assert rows == {tuple(image.flatten().tolist()) for image in PICTURES[:N].float() / 510}


def test_agreement_is_of_values_and_of_ranks_over_all_groups() -> None:
    one, other = [torch.tensor([1.0, 2.0]), torch.tensor([4.0])], [torch.tensor([1.0, 4.0]), torch.tensor([16.0])]
    found = gates.agreement(one, other)
    assert found.spearman == pytest.approx(1) and found.pearson == pytest.approx(
        np.corrcoef([1, 2, 4], [1, 4, 16])[0, 1]
    )
