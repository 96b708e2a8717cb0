"""A pipeline that draws its mask anew each time: its draws, its mean, and attacks on it, where the answer is known."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.balls import LinfBall
from pixelprune.attacks.believed import Believed
from pixelprune.attacks.fast import Fast
from pixelprune.attacks.fresh import Fresh
from pixelprune.attacks.losses import margin
from pixelprune.attacks.mean import Mean, votes
from pixelprune.attacks.narrowing import Budget, Counted
from pixelprune.attacks.replayed import Replayed
from pixelprune.attacks.stochastic.demanding import Demanding
from pixelprune.attacks.stochastic.firm import Firm
from pixelprune.attacks.threat import Threat
from pixelprune.attacks.transferred import Transferred
from pixelprune.draws import Draws
from pixelprune.fills.black import Black
from pixelprune.harness import by_chance, ladder
from pixelprune.harness.accesses import Access
from pixelprune.harness.ladder import Batch, climb
from pixelprune.harness.redrawn import Redrawn
from pixelprune.maps.map import Source
from pixelprune.maps.redrawn import Redrawn as RedrawnMap
from pixelprune.pruning import PrunedModel

N, H, W = 8, 6, 6
IDS = np.arange(20, 20 + N)
LABELS = torch.ones(N, dtype=torch.int64)
EVERYWHERE = torch.ones(N, 1, H, W, dtype=torch.bool)
EPS = 0.05


def rank(images: Tensor, ids: np.ndarray) -> Tensor:
    return RedrawnMap(name="redrawn", reads="data/raw")(images, ids, Source())


def fresh(word: str = "search") -> Fresh:
    return Fresh.of(Draws.of(IDS, word))


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 4))
    return layers.eval().requires_grad_(False)


def pictures() -> Tensor:
    return 0.3 + 0.4 * torch.rand(N, 3, H, W, generator=torch.Generator().manual_seed(3))


class Score:
    """Logits (0, w.x + b), w of both signs: one corner of the ball is the worst point behind every mask."""

    weight = torch.randn(3, H, W, generator=torch.Generator().manual_seed(4))

    def __init__(self, bias: float) -> None:
        self.bias = bias

    def __call__(self, images: Tensor) -> Tensor:
        score = (images * self.weight).sum((1, 2, 3)) + self.bias
        return torch.stack([torch.zeros_like(score), score], 1)


def test_every_call_brings_other_numbers_and_no_batch_has_a_say() -> None:
    together, alone = fresh(), fresh()
    first, second = together.next().integers(), together.next().integers()
    assert len({*first.tolist(), *second.tolist()}) == 2 * N
    one = alone.narrow(torch.tensor([5]))
    assert one.next().integers() == first[5]
    assert alone.next().integers()[5] == second[5]  # its second call, and for all others the first
    assert one.next().integers() not in (first[5], second[5])


def test_an_image_that_stands_twice_in_a_batch_gets_two_draws() -> None:
    plain, doubled = fresh(), fresh().narrow(torch.tensor([3, 1, 3, 3]))
    calls = [plain.next().integers() for _ in range(4)]
    assert doubled.next().integers().tolist() == [
        int(calls[0][3]),
        int(calls[0][1]),
        int(calls[1][3]),
        int(calls[2][3]),
    ]
    assert doubled.next().integers()[0] == calls[3][3]


def test_a_map_that_does_not_answer_to_its_draw_makes_the_mean_the_plain_model() -> None:
    mask = torch.rand(1, H, W, generator=torch.Generator().manual_seed(5)) < 0.5
    pruned = PrunedModel(
        network(), lambda images, ids: mask.float().expand(len(images), -1, -1), "own", Black(name="black")
    )
    plain = torch.log_softmax(pruned(pictures()), 1)
    for draws in (1, 7):
        torch.testing.assert_close(Mean(Redrawn(pruned), fresh(), draws)(pictures()), plain, atol=1e-5, rtol=0)


def test_the_gradient_is_that_of_the_mean_prediction() -> None:
    pruned, draws = PrunedModel(network().double(), rank, 0.5, Black(name="black")), 6
    images = pictures().double().requires_grad_()
    log = Mean(Redrawn(pruned), fresh(), draws)(images)
    (grad,) = torch.autograd.grad(log[:, 1].sum(), images)
    by_hand = torch.zeros(N, 4, dtype=torch.float64)
    streams = fresh().next()
    for draw in range(draws):
        mask = pruned.mask(images, streams.branch(draw).integers().numpy())
        by_hand = by_hand + torch.softmax(pruned.model(images * mask), 1) / draws
    (wanted,) = torch.autograd.grad(by_hand[:, 1].log().sum(), images)
    torch.testing.assert_close(
        log, by_hand.log().float() if log.dtype == torch.float32 else by_hand.log(), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(grad, wanted, atol=1e-5, rtol=1e-4)


def test_votes_are_shares_of_draws() -> None:
    """A network that says 1 where it sees the first pixel: it does so on as many draws as keep that pixel."""
    pruned = PrunedModel(
        lambda images: torch.stack([torch.full((len(images),), 0.5), images[:, 0, 0, 0] * 100], 1), rank, 0.25,
        Black(name="black"),
    )  # fmt: skip
    said = votes(Mean(Redrawn(pruned), fresh(), 2000).each(pictures() + 0.1))
    assert (said.sum(1) == 1).all()
    assert (said[:, 1] - 0.25).abs().max() < 5 * (0.25 * 0.75 / 2000) ** 0.5


def test_a_pass_of_the_mean_is_counted_as_its_draws() -> None:
    budget, pruned = Budget(N), PrunedModel(network(), rank, 0.5, Black(name="black"))
    model = Counted(Mean(Redrawn(pruned), fresh(), 5), budget, cost=5).narrow(torch.tensor([2, 4]))
    model(pictures()[[2, 4]])
    assert budget.forward.tolist() == [0, 0, 5, 0, 5, 0, 0, 0]


@pytest.mark.parametrize("bias", [-3.0, 0.0, 3.0])
def test_attacks_reach_the_worst_corner_of_a_linear_model(bias: float, tmp_path: Path) -> None:
    pruned = PrunedModel(Score(bias), rank, 0.5, Black(name="black"))
    images = pictures()
    corner = (images - EPS * Score.weight.sign()).clamp(0, 1)
    batch = Batch(images, LABELS, IDS, IDS, examples=N)
    table, worst = by_chance.measure(
        batch, pruned, Score(bias), {"linf": Threat(eps=(EPS,))}, {("kept", "linf"): images}, steps=5, queries=15,
        seed=0, folder=tmp_path,
    )  # fmt: skip
    assert set(table["attack"]) == {"mean_ce", "mean_dlr", "square", "rays", "transferred", "replayed_kept"}
    given = table[table["attack"].isin(["transferred", "replayed_kept"])]
    assert (given[["forward", "backward"]] == 0).all(axis=None), "points of others are not given up for a lucky answer"
    # The second answer of the verdict's streams: the first is about the clean images.
    verdict = by_chance.mean(pruned, batch, by_chance.VERDICT, 0, "verdict")
    verdict(images)
    falls = margin(verdict(corner), LABELS) > 0
    assert falls.any() or bias > 0
    broken = set(table[table["adv_pred"] != 1]["image"])
    assert broken == set(IDS[falls.numpy()])
    assert ((worst["adaptive", "linf"] - images).abs().amax((1, 2, 3)) <= EPS + 1e-6).all()
    clean = table[table["attack"] == "mean_ce"]["clean_pred"].to_numpy()
    for _, part in table.groupby("attack"):
        assert (part["clean_pred"].to_numpy() == clean).all()


class Lucky:
    """Returns the clean image, then one that is half as bad, then the worst."""

    name = "lucky"

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, model, images, labels, *, draws, **options):  # type: ignore[no-untyped-def]
        self.seen.append(len(images))
        return images - 0.05 * (len(self.seen) - 1)

    def model_dump(self, *, mode: str) -> dict[str, str]:
        return {"name": self.name}


def test_a_point_is_believed_where_the_judge_errs_and_else_the_image_is_attacked_again() -> None:
    """The judge wants the brightness of image i below 0.5 - i / 100; the attacked model is always fooled."""

    class Judge:
        def __init__(self, rows: Tensor) -> None:
            self.rows = rows

        def __call__(self, images: Tensor) -> Tensor:
            score = images.mean((1, 2, 3)) - 0.5 + self.rows / 100
            return torch.stack([torch.zeros(len(images)), score], 1)

        def narrow(self, index: Tensor) -> "Judge":
            return Judge(self.rows[index])

    images, attack = torch.full((N, 3, H, W), 0.52), Lucky()
    found = Believed(attack, Judge(torch.arange(N)), times=3)(
        lambda images: torch.tensor([[1.0, 0.0]]).repeat(len(images), 1), images, LABELS, ball=LinfBall(eps=0.1),
        mask=EVERYWHERE, draws=Draws.of(IDS, 0),
    )  # fmt: skip
    assert attack.seen == [N, N, 5]
    assert [round(float(point.mean()), 2) for point in found] == [0.47, 0.47, 0.47, 0.42, 0.42, 0.42, 0.42, 0.42]


def test_a_search_on_single_draws_believes_what_its_mean_does_not() -> None:
    """Why there is a judge: APGD on one draw a step stops at the first one that errs, long before most do."""
    images = pictures()[:1].repeat(N, 1, 1, 1)
    right = 1 - 0.5 * float((images[0] * Score.weight).sum())  # the mean score of the clean image is 1
    pruned = PrunedModel(Score(right), rank, 0.5, Black(name="black"))
    options: dict[str, Any] = {"ball": LinfBall(eps=EPS), "mask": EVERYWHERE, "draws": Draws.of(IDS, 1)}
    verdict = Mean(Redrawn(pruned), fresh("verdict"), 1000)
    hasty = APGD(steps=20)(Mean(Redrawn(pruned), fresh("one"), 1), images, LABELS, **options)
    judge, many = Mean(Redrawn(pruned), fresh("judge"), 100), Mean(Redrawn(pruned), fresh("many"), 20)
    believed = Believed(APGD(steps=20), judge)(many, images, LABELS, **options)
    corner = (images - EPS * Score.weight.sign()).clamp(0, 1)
    fallen = [int((margin(verdict(points), LABELS) > 0).sum()) for points in (images, hasty, believed, corner)]
    assert fallen == [0, fallen[1], N, N]
    assert fallen[1] < N


def test_a_search_goes_on_where_a_lucky_mean_of_draws_errs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One image eight times, which falls in the corner of its ball, and well before it for a mean of two draws."""
    images = pictures()[:1].repeat(N, 1, 1, 1)
    right = 1.3 - 0.5 * float((images[0] * Score.weight).sum())
    pruned = PrunedModel(Score(right), rank, 0.5, Black(name="black"))
    batch = Batch(images, LABELS, IDS, IDS, examples=N)
    monkeypatch.setattr(by_chance, "STEP", 2)

    def fallen(folder: str) -> dict[Any, int]:
        table, _ = by_chance.measure(
            batch, pruned, Score(right), {"linf": Threat(eps=(EPS,))}, {}, steps=20, queries=1, seed=0,
            folder=tmp_path / folder,
        )  # fmt: skip
        return (table["adv_pred"] != 1).groupby(table["attack"]).sum().to_dict()

    found = fallen("firm")
    assert found["mean_ce"] == found["mean_dlr"] == N
    monkeypatch.setattr(by_chance, "clearly", lambda draws: 0.0)
    hasty = fallen("hasty")
    assert hasty["mean_ce"] < N and hasty["mean_dlr"] < N


def test_e16_compares_draws_and_a_known_draw() -> None:
    pruned = PrunedModel(Score(0.0), rank, 0.5, Black(name="black"))
    batch = Batch(pictures(), LABELS, IDS, IDS, examples=N)
    threat = Threat(eps=(EPS,))
    found = by_chance.examine(batch, 6, pruned, threat, batch.images, steps=10, seed=0)
    assert (found["id"], found["verdict"]) == ("E16", "pass")
    clean = by_chance.mean(pruned, batch, by_chance.VERDICT, 0, "E16 votes").each(batch.images)
    right = [int((margin(said, LABELS) <= 0).sum()) for said in (clean.exp().mean(0), votes(clean))]
    assert f"{right[0]} stand by the mean of 100 draws, {right[1]} by their majority" in found["found"]
    # The corner is the worst point behind every mask: who knows the mask does no better than who does not.
    shares = [int(share) for share in re.findall(r"(\d+)% of (?:the points|those)", found["found"])]
    assert abs(shares[0] - shares[1]) <= 25


class Hidden(torch.autograd.Function):
    """The identity, with a gradient that leads astray."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        return images.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return -grads[0]


def test_e16_tells_an_attack_that_fails_where_the_draw_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The unknown draw is climbed along true gradients, the known one along false ones."""
    pruned = PrunedModel(Score(5.0), rank, 0.5, Black(name="black"))
    true = by_chance._climbed
    monkeypatch.setattr(by_chance, "_climbed", lambda _, *rest: true(pruned, *rest))
    blind = PrunedModel(lambda images: Score(5.0)(Hidden.apply(images)), rank, 0.5, Black(name="black"))
    batch = Batch(pictures(), LABELS, IDS, IDS, examples=N)
    found = by_chance.examine(batch, N, blind, Threat(eps=(0.2,)), batch.images, steps=10, seed=0)
    assert found["verdict"] == "fail"


def test_e16_tells_too_few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 20 draws a step the attack returns the clean image, at 40 the worst corner."""
    pruned = PrunedModel(Score(5.0), rank, 0.5, Black(name="black"))
    images = pictures()
    points = {by_chance.STEP: images, 2 * by_chance.STEP: (images - 0.3 * Score.weight.sign()).clamp(0, 1)}
    monkeypatch.setattr(by_chance, "_climbed", lambda _, few, threat, count, *rest: points[count][: len(few)])
    batch = Batch(images, LABELS, IDS, IDS, examples=N)
    assert by_chance.examine(batch, N, pruned, Threat(eps=(0.3,)), images, steps=10, seed=0)["verdict"] == "fail"


def test_the_draws_of_attacks_and_verdicts_are_not_the_same() -> None:
    pruned = PrunedModel(network(), rank, 0.5, Black(name="black"))
    batch = Batch(pictures(), LABELS, IDS, IDS, examples=N)
    words = ("mean_ce", "mean_dlr", "judge", "verdict")
    answers = [by_chance.mean(pruned, batch, 1, 0, word)(batch.images) for word in words]
    for position, answer in enumerate(answers):
        for other in answers[position + 1 :]:
            assert not torch.equal(answer, other)
    assert torch.equal(answers[0], by_chance.mean(pruned, batch, 1, 0, "mean_ce")(batch.images))


def test_what_an_attack_draws_does_not_depend_on_those_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill: all but one of the attacks are read back, and that one ends as it did."""
    monkeypatch.setattr(by_chance, "VERDICT", 10)  # how many draws make a mean is of no matter here
    monkeypatch.setattr(by_chance, "STEP", 5)
    pruned, images = PrunedModel(Score(3.0), rank, 0.5, Black(name="black")), pictures()
    batch = Batch(images, LABELS, IDS, IDS, examples=N)

    def measured() -> tuple[Any, dict[tuple[str, str], Tensor]]:
        return by_chance.measure(
            batch, pruned, Score(3.0), {"linf": Threat(eps=(EPS / 2,))}, {}, steps=6, queries=10, seed=0,
            folder=tmp_path,
        )  # fmt: skip

    whole, worst = measured()
    for part in sorted(tmp_path.iterdir()):
        content = part.read_bytes()
        part.unlink()
        again, points = measured()
        assert again.equals(whole) and torch.equal(points["adaptive", "linf"], worst["adaptive", "linf"])
        assert part.read_bytes() == content


def by_luck(word: str) -> Mean:
    """Its answers say nothing of the image; the right class is ahead by 1 on average."""
    ahead = torch.tensor([-1.0, 0.0])
    return Mean(lambda images, draws: draws.normal(2) - ahead, Fresh.of(Draws.of(IDS, word)), 1)


def test_a_point_is_not_given_up_for_a_clean_image_that_was_lucky() -> None:
    """What judges a point has other draws than what judged the clean image: that one margin is larger says nothing."""
    images, points = pictures(), pictures() + 0.01
    labels = torch.zeros(N, dtype=torch.int64)
    believed = Believed(Replayed(points, unasked=True), by_luck("judge"), 1)
    found = believed(
        by_luck("search"), images, labels, ball=LinfBall(eps=EPS), mask=EVERYWHERE, draws=Draws.of(IDS, "attack")
    )
    right = margin(by_luck("judge")(images), labels) <= 0
    assert 2 < right.sum() < N
    torch.testing.assert_close(found, torch.where(right[:, None, None, None], points, images))


def test_the_harness_keeps_what_an_attack_on_answers_by_chance_returns(tmp_path: Path) -> None:
    points = pictures() + 0.01
    some = Batch(pictures(), torch.zeros(N, dtype=torch.int64), IDS, IDS, N)
    access = Access("defended", by_luck("verdict"), EVERYWHERE, climbed=by_luck("search"))
    threats = {"linf": Threat(eps=(EPS,))}
    _, found = climb(some, access, threats, {"given": Replayed(points, unasked=True)}, seed=0, folder=tmp_path)
    right = margin(by_luck("verdict")(some.images), some.labels) <= 0
    torch.testing.assert_close(found["linf"], torch.where(right[:, None, None, None], points, some.images))


def test_a_part_is_named_by_the_code_of_all_that_an_attack_wraps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[set[str]] = []
    monkeypatch.setattr(ladder, "_code", lambda files: asked.append({Path(file).stem for file in files}))
    some = Batch(pictures(), LABELS, IDS, IDS, N)
    access = Access("defended", Score(0.0), EVERYWHERE)
    judge = Firm(by_luck("judge"), LABELS, 0.5)
    for attack in (Believed(Demanding(Fast(), Firm, 0.5), judge, 1), Transferred(Score(0.0), APGD(steps=1))):
        climb(some, access, {"linf": Threat(eps=(EPS,))}, {"own": attack}, seed=0, folder=tmp_path)
    assert asked == [{"believed", "demanding", "firm", "fast", "mean", "fresh", "draws"}, {"transferred", "apgd"}]
