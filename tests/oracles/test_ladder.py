"""The ladder on a linear model, whose images fall at a known eps: rows, budgets, and parts that are kept.

For logits (0, w.x + b_i) and label 1, image i stands at eps while its score exceeds eps * ||w||_1 over the open pixels.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from torch import Tensor

from pixelprune.attacks.autoattack import AutoAttack
from pixelprune.attacks.balls import LinfBall
from pixelprune.attacks.fast import Fast
from pixelprune.attacks.fgsm import FGSM
from pixelprune.attacks.losses import margin
from pixelprune.attacks.max import Max
from pixelprune.attacks.narrowing import Budget
from pixelprune.attacks.noise import Noise
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.threat import Threat
from pixelprune.draws import Draws
from pixelprune.evaluation import rows, sequential
from pixelprune.fills.black import Black
from pixelprune.harness import accesses, examine, ladder
from pixelprune.harness.accesses import Access
from pixelprune.harness.ladder import CHUNK, Attack, Batch, climb

N, C, H, W = 40, 3, 5, 6
EPS = (2 / 255, 4 / 255, 8 / 255)
LINF = {"linf": Threat(norm="linf", eps=EPS)}
LADDER: dict[str, Attack] = {"noise": Noise(draws=2), "fgsm": FGSM(), "pgd": PGD(steps=10)}


class Linear:
    """Its bias belongs to the image; it counts what it is asked, and can refuse to be asked with gradients."""

    def __init__(self, weight: Tensor, bias: Tensor, calls: list[bool] | None = None) -> None:
        self.weight, self.bias = weight, bias
        self.calls: list[bool] = [] if calls is None else calls

    def __call__(self, images: Tensor) -> Tensor:
        self.calls.append(images.requires_grad)
        score = (images * self.weight).sum((1, 2, 3)) + self.bias
        return torch.stack([torch.zeros_like(score), score], 1)

    def narrow(self, index: Tensor) -> "Linear":
        return Linear(self.weight, self.bias[index], self.calls)


@pytest.fixture
def case() -> tuple[Linear, Batch, Tensor]:
    """Scores from 0.05 to 1.95 times what the largest eps takes from the open pixels; the last image is wrong."""
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(C, H, W, generator=rng)
    images = 0.3 + 0.4 * torch.rand(N, C, H, W, generator=rng)
    mask = torch.rand(N, 1, H, W, generator=rng) < 0.6
    mask[:, :, 0, 0] = True
    score = EPS[-1] * norm(weight, mask) * torch.linspace(0.05, 1.95, N)
    score[-1] = -1
    model = Linear(weight, score - (images * weight).sum((1, 2, 3)))
    ids = np.arange(N, dtype=np.int64) * 7 + 3
    return model, Batch(images, torch.ones(N, dtype=torch.int64), ids, ids // 2, examples=12), mask


def norm(weight: Tensor, mask: Tensor) -> Tensor:
    return (weight * mask).abs().flatten(1).sum(1)


def standing(table: pandas.DataFrame, eps: float, attack: str | None = None) -> Any:
    """bool (N,), in the order of the images: no attack broke it at this eps."""
    own = table[table["eps"] == eps]
    own = own if attack is None else own[own["attack"] == attack]
    return (own["adv_pred"] == own["label"]).groupby(own["image"]).all().to_numpy()


def climbed(
    case: tuple[Linear, Batch, Tensor], folder: Path, threats: Mapping[str, Threat] = LINF,
    ladder: Mapping[str, Attack] = LADDER, *, name: str = "kept", seed: int = 0,
) -> tuple[pandas.DataFrame, dict[str, Tensor], Linear]:  # fmt: skip
    """Rows and examples of a climb, and a model that knows how it was called."""
    model, batch, mask = case
    fresh = Linear(model.weight, model.bias)
    table, examples = climb(batch, Access(name, fresh, mask), threats, ladder, seed=seed, folder=folder)
    return table, examples, fresh


def test_rows_are_what_the_report_reads(case, tmp_path: Path) -> None:
    table, _, _ = climbed(case, tmp_path)
    assert rows.checked(table, "here") is table
    assert len(table) == N * len(EPS) * len(LADDER)
    assert table.groupby(["eps", "attack"], sort=False)["image"].apply(list).tolist() == [list(case[1].ids)] * 9
    assert set(table["access"]) == {"kept"} and set(table["threat"]) == {"linf"} and set(table["norm"]) == {"linf"}
    assert (table["changed_outside"] == 0).all()
    assert (table["linf"] <= table["eps"] + 1e-6).all()
    assert ((table["adv_margin"] > 0) == (table["adv_pred"] != table["label"])).all()
    wrong = table[table["image"] == case[1].ids[-1]]
    assert (wrong["adv_margin"] == wrong["clean_margin"]).all() and (wrong["forward"] == 0).all()


def test_what_stands_is_the_closed_form_at_every_eps(case, tmp_path: Path) -> None:
    model, batch, mask = case
    table, _, _ = climbed(case, tmp_path)
    score = model(batch.images)[:, 1]
    for eps in EPS:
        expected = (score > eps * norm(model.weight, mask)).numpy()
        assert 0 < expected.sum() < N - 1
        assert standing(table, eps, "pgd").tolist() == expected.tolist()
        assert standing(table, eps, "fgsm").tolist() == expected.tolist()
        assert standing(table, eps).tolist() == expected.tolist()
        assert (standing(table, eps, "noise") >= expected).all()


def test_l2_stands_by_its_own_norm(case, tmp_path: Path) -> None:
    model, batch, mask = case
    threat = {"l2": Threat(norm="l2", eps=(0.1, 0.25))}
    table, _, _ = climbed(case, tmp_path, threat, {"fgsm": FGSM()})
    score = model(batch.images)[:, 1]
    for eps in (0.1, 0.25):
        expected = score > eps * (model.weight * mask).flatten(1).norm(dim=1)
        assert standing(table, eps).tolist() == expected.tolist()
    assert (table["l2"] <= table["eps"] + 1e-6).all()
    assert set(table["norm"]) == {"l2"}


def test_a_broken_image_stays_broken_with_its_point_and_is_not_attacked_again(case, tmp_path: Path) -> None:
    table, _, _ = climbed(case, tmp_path)
    for attack in LADDER:
        by_eps = [table[(table["attack"] == attack) & (table["eps"] == eps)].reset_index() for eps in EPS]
        for smaller, larger in pairwise(by_eps):
            assert (larger["adv_margin"] >= smaller["adv_margin"]).all()
            broken = smaller["adv_margin"] > 0
            kept = ["adv_pred", "adv_margin", "linf", "l2"]
            pandas.testing.assert_frame_equal(larger.loc[broken, kept], smaller.loc[broken, kept])
            assert (larger.loc[broken, ["forward", "backward"]] == 0).all(axis=None)
            assert (larger.loc[~broken, "forward"] > 0).all()


def test_of_two_chunks_each_image_gets_its_own_row(case, tmp_path: Path) -> None:
    model, batch, mask = case
    copies = -(-(CHUNK + 30) // N)
    many = torch.arange(N).repeat(copies)
    ids = np.arange(len(many), dtype=np.int64)
    large = Batch(batch.images[many], batch.labels[many], ids, ids, examples=CHUNK + 10)
    threat = {"linf": Threat(eps=(EPS[1],))}
    table, examples, _ = climbed((model.narrow(many), large, mask[many]), tmp_path, threat, {"fgsm": FGSM()})
    small, _, _ = climbed(case, tmp_path / "small", threat, {"fgsm": FGSM()})
    for column in ("adv_pred", "forward", "backward"):
        assert table[column].tolist() == small[column].tolist() * copies
    assert len(examples["linf"]) == CHUNK + 10


def test_examples_are_the_worst_points_and_keep_their_verdict(case, tmp_path: Path) -> None:
    model, batch, mask = case
    threat = {"linf": Threat(eps=EPS, headline=EPS[1])}
    table, examples, _ = climbed(case, tmp_path, threat)
    few = torch.arange(batch.examples)
    points = examples["linf"]
    own = table[(table["eps"] == EPS[1]) & table["image"].isin(batch.ids[: batch.examples])]
    worst = own.groupby("image")["adv_margin"].max().to_numpy()
    again = margin(model.narrow(few)(points), batch.labels[few])
    np.testing.assert_allclose(again.numpy(), worst, atol=1e-5)
    assert ((points - batch.images[few]).abs() <= EPS[1] + 1e-6).all()
    assert not ((points != batch.images[few]) & ~mask[few]).any()
    assert points.min() >= 0 and points.max() <= 1
    assert standing(table, EPS[1])[: batch.examples].tolist() == (again <= 0).tolist()


def test_a_second_climb_makes_no_attack_and_finds_the_same(case, tmp_path: Path) -> None:
    first, examples, model = climbed(case, tmp_path)
    assert any(model.calls)
    second, again, quiet = climbed(case, tmp_path)
    assert quiet.calls == [False], "one pass over the clean images, none for an attack"
    pandas.testing.assert_frame_equal(first, second)
    assert torch.equal(examples["linf"], again["linf"])
    elsewhere, _, _ = climbed(case, tmp_path / "elsewhere")
    pandas.testing.assert_frame_equal(first, elsewhere)


@pytest.mark.parametrize("damage", ["truncated", "empty", "gone"])
def test_a_damaged_part_is_done_again(case, tmp_path: Path, damage: str) -> None:
    first, _, _ = climbed(case, tmp_path)
    files = sorted(tmp_path.iterdir())
    assert len(files) == len(EPS) * len(LADDER)
    content = [file.read_bytes() for file in files]
    for file, whole in list(zip(files, content))[::3]:
        file.unlink() if damage == "gone" else file.write_bytes(whole[:-1] if damage == "truncated" else b"")
    second, _, _ = climbed(case, tmp_path)
    pandas.testing.assert_frame_equal(first, second)
    assert [file.read_bytes() for file in files] == content


def test_a_larger_eps_reuses_the_smaller_ones(case, tmp_path: Path) -> None:
    ladder = {"fgsm": FGSM()}
    climbed(case, tmp_path, {"linf": Threat(eps=EPS[:2])}, ladder)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    table, _, model = climbed(case, tmp_path, LINF, ladder)
    assert model.calls.count(True) == 1, "FGSM has one gradient, at the new eps"
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert len(list(tmp_path.iterdir())) == 3
    fresh, _, _ = climbed(case, tmp_path / "fresh", LINF, ladder)
    pandas.testing.assert_frame_equal(table, fresh)


@pytest.mark.parametrize(
    "change",
    [
        {"ladder": {"pgd": PGD(steps=11)}}, {"seed": 1}, {"threats": {"linf": Threat(eps=EPS[1:])}},
        {"threats": {"linf": Threat(norm="l2", eps=EPS)}}, {"name": "location"},
    ],
    ids=["options", "seed", "without the smallest eps", "norm", "access"],
)  # fmt: skip
def test_other_work_meets_no_part_of_this_one(case, tmp_path: Path, change: dict[str, Any]) -> None:
    climbed(case, tmp_path, ladder={"pgd": PGD(steps=10)})
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    found, _, model = climbed(case, tmp_path, **{"ladder": {"pgd": PGD(steps=10)}, **change})
    assert any(model.calls)
    fresh, _, _ = climbed(case, tmp_path / "fresh", **{"ladder": {"pgd": PGD(steps=10)}, **change})
    pandas.testing.assert_frame_equal(found, fresh)
    assert {file: file.read_bytes() for file in before} == before


def test_names_of_entries_may_change_without_a_new_attack(case, tmp_path: Path) -> None:
    first, _, _ = climbed(case, tmp_path, ladder={"pgd": PGD(steps=10)})
    second, _, model = climbed(case, tmp_path, {"small": LINF["linf"]}, {"madry": PGD(steps=10)})
    assert not any(model.calls)
    assert set(second["threat"]) == {"small"} and set(second["attack"]) == {"madry"}
    pandas.testing.assert_frame_equal(
        first.drop(columns=["threat", "attack"]), second.drop(columns=["threat", "attack"])
    )


def test_the_budget_writes_on_the_mask_moved_around(case) -> None:
    """Equal area and a circular shift of the same shape, by an offset of the image's own, never (0, 0)."""
    _, batch, mask = case
    network = torch.nn.Identity()
    budget, location, kept = accesses.of_pruned(network, network, mask, Black(name="black"), batch.ids)
    assert (budget.name, location.name, kept.name) == ("budget", "location", "kept")
    assert torch.equal(location.mask, mask) and torch.equal(kept.mask, mask)
    moves = set()
    for moved, own in zip(budget.mask[:, 0], mask[:, 0]):
        shifts = [
            (row, column) for row in range(H) for column in range(W)
            if torch.equal(own.roll((row, column), (0, 1)), moved)
        ]  # fmt: skip
        assert shifts, "not a circular shift of the mask"
        moves.add(shifts[0])
        if len(shifts) == 1:
            assert shifts != [(0, 0)]
    assert len(moves) > 5
    assert accesses.full(network, mask).mask.all()
    again = accesses.of_pruned(network, network, mask[5:9], Black(name="black"), batch.ids[5:9])[0]
    assert torch.equal(again.mask, budget.mask[5:9]), "an image's shift does not depend on its batch"


def test_the_pruned_model_sees_the_fill_where_pixels_were_dropped(case) -> None:
    _, batch, mask = case
    seen: list[Tensor] = []

    class Network(torch.nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images)
            return images.flatten(1)[:, :2]

    *_, kept = accesses.of_pruned(Network(), Network(), mask, Black(name="black"), batch.ids)
    kept.model(batch.images)
    assert torch.equal(seen[0], batch.images * mask)


def test_e3_tells_stored_examples_that_lost_their_verdict(case: tuple[Linear, Batch, Tensor], tmp_path: Path) -> None:
    """The first twelve images all fall; three of their examples are put back to the clean image."""
    table, examples, model = climbed(case, tmp_path, name="full")
    _, batch, mask = case
    subject: Any = SimpleNamespace(threats=LINF)
    access = accesses.full(model, mask)
    sane = examine._stored(subject, batch, access, table, {("full", "linf"): examples["linf"]})
    assert sane["verdict"] == "pass"
    assert sane["found"].startswith("0 differ; 0 of 12 stand")
    examples["linf"][4:7] = batch.images[4:7]
    lost = examine._stored(subject, batch, access, table, {("full", "linf"): examples["linf"]})
    assert (lost["verdict"], lost["severity"]) == ("fail", "F")
    assert lost["found"].startswith("3 differ; 3 of 12 stand")


@pytest.mark.parametrize("attack, verdict", [(PGD(steps=20), "pass"), (Noise(draws=1), "fail")])
def test_e28_tells_a_ladder_that_autoattack_goes_beyond(
    case: tuple[Linear, Batch, Tensor], tmp_path: Path, attack: Attack, verdict: str
) -> None:
    """Of the first thirteen images every one can be broken, and AutoAttack breaks them."""
    table, _, model = climbed(case, tmp_path, ladder={"own": attack}, name="full")
    _, batch, mask = case
    settings = SimpleNamespace(autoattack=("a/natural",), autoattack_images=13, autoattack_within=None)
    run: Any = SimpleNamespace(name="a/natural", settings=settings, threats=LINF, seed=0)
    found = examine._agreement(run, batch, Access("full", model, mask), table, tmp_path)
    assert (found["verdict"], found["severity"]) == (verdict, "W")
    assert found["found"].startswith("of 13 images 0 stand after AutoAttack")
    run.name = "b/natural"
    assert examine._agreement(run, batch, Access("full", model, mask), table, tmp_path)["verdict"] == "not applicable"


@pytest.mark.parametrize("within", [0.2, 0.4])
def test_autoattack_stops_once_its_share_is_known(
    case: tuple[Linear, Batch, Tensor], tmp_path: Path, within: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examine, "LOOK", 4)
    table, _, model = climbed(case, tmp_path, ladder={"own": PGD(steps=20)}, name="full")
    _, batch, mask = case
    settings = SimpleNamespace(autoattack=("a/natural",), autoattack_images=13, autoattack_within=within)
    run: Any = SimpleNamespace(name="a/natural", settings=settings, threats=LINF, seed=0)
    found = examine._agreement(run, batch, Access("full", model, mask), table, tmp_path)["found"]
    tried = next(tried for tried in (4, 8, 12, 13) if sequential.enough(0, tried, 13, within))
    assert 4 < tried < 13, "of nothing else could it be told that it stops"
    high = sequential.interval(0, tried, 13)[1]
    assert found.startswith(f"of {tried} images 0 stand after AutoAttack")
    assert found.endswith(f"; of all 13 stand 0.0% to {high:.1%}, with 95 % confidence")


class Killed(Exception):
    """Stands for a process that dies."""


ENSEMBLES = [AutoAttack(steps=6, queries=60), Max(steps=6, queries=60, restarts=1)]


@pytest.mark.parametrize("ensemble", ENSEMBLES, ids=lambda attack: attack.name)
@pytest.mark.parametrize("after", [3, 30, 90, 150])
def test_a_killed_ensemble_goes_on_behind_its_last_attack(
    case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, ensemble: AutoAttack | Max
) -> None:
    """Two chunks of an ensemble, dead at a call of the model: the next run ends with the same bytes."""
    monkeypatch.setattr(ladder, "CHUNK", N // 2)
    attack = {"ensemble": ensemble}
    threat = {"linf": Threat(eps=(EPS[1],))}
    whole, examples, undisturbed = climbed(case, tmp_path / "whole", threat, attack)
    assert len(undisturbed.calls) > 150

    def dying(self: Linear, images: Tensor, call: Any = Linear.__call__) -> Tensor:
        if len(self.calls) == after:
            raise Killed
        return call(self, images)

    with monkeypatch.context() as patch:
        patch.setattr(Linear, "__call__", dying)
        with pytest.raises(Killed):
            climbed(case, tmp_path / "killed", threat, attack)
    left = list((tmp_path / "killed").iterdir()) if after > 3 else []
    again, points, model = climbed(case, tmp_path / "killed", threat, attack)
    pandas.testing.assert_frame_equal(again, whole)
    assert torch.equal(points["linf"], examples["linf"])
    assert bool(left) == (len(model.calls) < len(undisturbed.calls)) == (after > 3)
    ends = [{file.name: file.read_bytes() for file in (tmp_path / run).iterdir()} for run in ("whole", "killed")]
    assert ends[0] == ends[1] and len(ends[0]) == 1


def test_large_images_are_attacked_a_few_at_a_time() -> None:
    sizes = {
        side: len(ladder.chunks(torch.empty(1, 1, 1, 1).expand(300, 3, side, side))[0]) for side in (32, 64, 224, 2000)
    }
    assert sizes == {32: CHUNK, 64: CHUNK, 224: 20, 2000: 1}


def test_an_image_that_only_the_copy_gets_wrong_is_attacked_again(case, tmp_path: Path) -> None:
    """The copy takes every image for a wrong one from the start, so an attack on it alone would leave them all."""
    model, batch, mask = case
    mistaken = Linear(model.weight, model.bias - 1000)
    access = Access("kept", model, mask, quick=mistaken)
    for name, attack in {"pgd": PGD(steps=10), "fast": Fast()}.items():
        spent = Budget(N)
        index = torch.arange(N)
        points, logits = ladder.attacked(
            attack, access, index, batch.images, batch.labels,
            ball=LinfBall(eps=EPS[-1]), draws=Draws.of(batch.ids, name), spent=spent,
        )  # fmt: skip
        torch.testing.assert_close(logits, model(points))
        expected = model(batch.images)[:, 1] > EPS[-1] * norm(model.weight, mask)
        assert 0 < expected.sum() < N - 1
        assert (logits[:, 1] > 0).tolist() == expected.tolist()
        assert ((points - batch.images).abs() <= EPS[-1] + 1e-6).all()
        assert not ((points != batch.images) & ~mask).any()
    table, _ = climb(batch, access, LINF, {"pgd": PGD(steps=10)}, seed=0, folder=tmp_path)
    assert standing(table, EPS[-1]).tolist() == expected.tolist()
