"""The evaluation of a defended network: what breaks, what is told, what is written, and what a kill leaves behind."""

from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from torch import Tensor, nn

from oracles.shared_defenses import H, Toy, W, as_it_is, batch, centered, network, noisy, quantized, repaired
from pixelprune import artifacts
from pixelprune.attacks.fast import Fast
from pixelprune.attacks.mean import Drawn
from pixelprune.attacks.threat import Threat
from pixelprune.draws import Draws
from pixelprune.evaluation.massart import Precision
from pixelprune.harness import declared, defended, detection, probability
from pixelprune.harness.behind import Behind, Gradient, Verdict
from pixelprune.harness.compared import worst
from pixelprune.harness.defended import COLUMNS, Job, evaluate
from pixelprune.harness.effort import Effort
from pixelprune.harness.ladder import PIXELS, Batch, chunks
from pixelprune.harness.ways import along_means

EPS = 0.03
EFFORT = Effort(
    images=8, costly=6, costliest=4, check_images=4, group=3, draws=(2, 3, 4), steps=5, plain_steps=10, queries=5,
    search_draws=2, verdict_draws=5, known_draws=1, planted_points=20, corruption_images=4, severities=(1, 2),
)  # fmt: skip


def darker(images: Tensor, severity: int, ids: Any, seed: int) -> Tensor:
    return images / (1 + severity)


def job(toy: Any, **options: Any) -> Job:
    return Job(
        "none/natural/0/toy", network(), toy, {}, Threat(eps=(EPS,)), Fast(), EFFORT, {"darker": darker}, 0, **options
    )


def run(toy: Any, tmp_path: Path) -> tuple[pandas.DataFrame, dict[str, Any], list[Any], dict[str, Any]]:
    """Rows, checks by id, comparisons, card."""
    card = evaluate(job(toy), batch(), tmp_path / "out", tmp_path / "state")
    checks = {one["id"]: one for one in artifacts.load_json(tmp_path / "out/checks.json")}
    return (
        artifacts.load_table(tmp_path / "out/rows.parquet"),
        checks,
        artifacts.load_json(tmp_path / "out/compared.json"),
        card,
    )


NOISY = Toy(noisy(0.02), randomised=True)


@pytest.mark.parametrize(
    ("toy", "counts", "draws", "decide"),
    [
        (Toy(as_it_is), {"fast": 8, "square": 8, "rays": 8}, {}, 1),
        (NOISY, {"mean_2": 8, "mean_3": 6, "mean_4": 4, "plain": 6, "square": 6, "rays": 6},
         {"mean_2": 2, "mean_3": 3, "mean_4": 4, "square": 2, "rays": 2}, 5),
        (Toy(repaired(0.02), dynamic=True), {"bpda": 6, "unrolled": 6, "square": 4, "rays": 4}, {}, 1),
        (Toy(repaired(0.02, 0.01), dynamic=True, randomised=True),
         {"bpda": 6, "unrolled": 6, "bpda_2": 4, "unrolled_2": 4, "square": 4, "rays": 4},
         {"bpda_2": 2, "unrolled_2": 2, "square": 2, "rays": 2}, 2),
    ], ids=["plain", "randomised", "dynamic", "both"],
)  # fmt: skip
def test_each_declaration_gets_its_ways_and_its_numbers_of_images_and_draws(
    toy: Toy, counts: dict[str, int], draws: dict[str, int], decide: int, tmp_path: Path
) -> None:
    rows, checks, comparisons, card = run(toy, tmp_path)
    counts = {"clean": 8, "static": 8, "transferred": 8} | counts
    assert rows.groupby("way").size().to_dict() == counts
    assert {way: one["images"] for way, one in card["ways"].items()} == counts
    for way, part in rows.groupby("way"):
        assert part["image"].tolist() == list(batch().ids[: len(part)])
        assert set(part["draws"]) == {draws.get(str(way), 1)}
        assert set(part["verdict_draws"]) == {1 if way == "static" else decide}
    assert {name: str(kind) for name, kind in rows.dtypes.items()} == COLUMNS
    assert (rows["linf"] <= EPS + 1e-6).all() and (rows["linf"] > 0).any()
    assert ((rows["margin"] <= 0) == rows["right_mean"]).all()
    searched = rows[~rows["way"].isin(["clean", "static", "transferred"])]
    assert (searched.groupby("way")["forward"].sum() > 0).all()
    assert all(checks[name]["verdict"] != "fail" for name in ("E2", "E15", "E17", "E26", "E32", "E33"))
    ns = {one["way"]: one["n"] for one in comparisons}
    assert ns == {way: n for way, n in counts.items() if way != "static"} | {
        f"worst of {n}": n for way, n in counts.items() if way not in ("clean", "static")
    }


def loud(net: nn.Module, gradient: Gradient) -> Drawn:
    """Single draws err now and then by themselves."""
    return lambda images, draws: net(images) + 0.7 * draws.normal(4)


def test_an_image_that_stands_was_attacked_to_the_end_however_single_draws_fell(tmp_path: Path) -> None:
    rows, *_ = run(Toy(loud, dynamic=True, randomised=True), tmp_path)
    for way, attacks in (("bpda", 2), ("unrolled", 1), ("bpda_2", 2), ("unrolled_2", 1)):
        stands = rows[(rows["way"] == way) & rows["right_mean"]]
        assert len(stands) and (stands["backward"] >= attacks * EFFORT.steps * stands["draws"]).all()


@pytest.mark.parametrize(("group", "side"), [(3, 6), (60, 6), (50, 96), (50, 128), (2, 300)])
def test_attacks_verdicts_and_corruptions_work_on_whole_groups(group: int, side: int) -> None:
    images = torch.zeros(200, 3, 1, 1).expand(200, 3, side, side)
    parts = chunks(images, group)
    assert torch.cat(parts).tolist() == list(range(200))
    assert all(len(part) % group == 0 for part in parts[:-1])
    assert len(parts[0]) <= max(group, PIXELS // side**2)
    some = Batch(images, torch.zeros(200).long(), np.arange(200), np.arange(200), 200)
    for coupled in (True, False):
        behind = Behind(Toy(centered, batch_coupled=coupled), network(), {}, some, 0, group)
        expected = chunks(images, group if coupled else 1)
        assert [len(part) for part in behind.parts(200)] == [len(part) for part in expected]


def test_what_is_compared_is_paired_on_equal_images(tmp_path: Path) -> None:
    rows, _, comparisons, _ = run(NOISY, tmp_path)
    right = {str(way): dict(zip(part["image"], part["right_mean"])) for way, part in rows.groupby("way")}
    for one in comparisons:
        name = one["way"]
        if name.startswith("worst"):
            ids = [int(image) for image in batch().ids[: one["n"]]]
            ways = [way for way in right if way != "static" and set(ids) <= set(right[way])]
            after = [all(right[way][image] for way in ways) for image in ids]
        else:
            ids = list(right[name])
            after = list(right[name].values())
        before = [right["static"][image] if name != "clean" else True for image in ids]
        assert one["n"] == len(ids)
        assert (one["before"], one["after"]) == (np.mean(before), np.mean(after))
        assert one["difference"] == pytest.approx(np.mean(after) - np.mean(before))
        assert one["only_before"] == sum(b and not a for b, a in zip(before, after))
    assert [len(stands) for stands in worst(rows)] == [8, 6, 4]


def quantized_by_chance(net: nn.Module, gradient: Any) -> Any:
    return lambda images, draws: quantized(net, gradient)(images, draws) + 1e-3 * draws.normal(4)


@pytest.mark.parametrize(
    "toy", [Toy(quantized, dynamic=True), Toy(quantized_by_chance, dynamic=True, randomised=True)],
    ids=["alone", "by chance"],
)  # fmt: skip
def test_a_shattered_gradient_falls_to_bpda_and_to_nothing_plainer(toy: Toy, tmp_path: Path) -> None:
    rows, checks, _, _ = run(toy, tmp_path)
    stand = rows.groupby("way")["right_mean"].sum()
    static = rows[rows["way"] == "static"].head(6)["right_mean"].sum()
    assert stand["bpda"] <= static + 1
    assert stand["unrolled"] >= 4 > stand["bpda"]
    backward = rows[rows["way"] == "unrolled"]
    assert (backward[backward["right_mean"]]["backward"] > 0).all()
    assert "both attacks ran" in checks["E17"]["found"]


def test_declarations_are_held_to_the_facts(tmp_path: Path) -> None:
    few = Behind(Toy(as_it_is), network(), {}, batch().first(4), 0, 3)

    def told(toy: Toy) -> dict[str, tuple[str, str]]:
        one = replace(few, defense=toy)
        empty = pandas.DataFrame({"way": [], "right_mean": [], "image": []})
        found = [declared.repeatable(one), declared.coupled(one), declared.searches(one, empty)]
        return {each["id"]: (each["verdict"], each["severity"]) for each in found if each["verdict"] == "fail"}

    assert told(Toy(as_it_is)) == {}
    assert told(Toy(noisy(0.01), randomised=True)) == {}
    assert told(Toy(centered, batch_coupled=True)) == {}
    assert told(Toy(noisy(0.01))) == {"E15": ("fail", "F")}
    assert told(Toy(as_it_is, randomised=True)) == {"E15": ("fail", "W")}
    assert told(Toy(centered)) == {"E32": ("fail", "F")}
    assert told(Toy(as_it_is, batch_coupled=True)) == {"E32": ("fail", "W")}
    assert told(Toy(repaired(0.02))) == {"E17": ("fail", "F")}
    assert told(Toy(repaired(0.02), dynamic=True)) == {"E17": ("fail", "F")}  # nothing followed its gradient


def test_a_stand_in_that_predicts_something_else_is_told() -> None:
    def answer(net: nn.Module, gradient: str) -> Any:
        return lambda images, draws: net(images) + (torch.arange(4) if gradient == "unrolled" else 0)

    few = Behind(Toy(answer, dynamic=True), network(), {}, batch().first(4), 0, 3)
    assert declared.surrogate(few)["verdict"] == "fail"
    assert declared.surrogate(replace(few, defense=Toy(repaired(0.02), dynamic=True)))["verdict"] == "pass"


def table(**ways: str) -> pandas.DataFrame:
    """Rows of images 0, 1, ...; 1: it stands."""
    parts = [
        pandas.DataFrame({"image": range(len(word)), "way": way, "right_mean": [letter == "1" for letter in word]})
        for way, word in ways.items()
    ]
    return pandas.concat(parts, ignore_index=True)


def test_weaker_ways_that_break_what_stronger_ones_leave_are_told() -> None:
    fine = table(clean="1111", transferred="0101", mean_20="0000", mean_50="01", square="10", rays="11")
    assert declared.transfer(fine)["verdict"] == declared.black_box(fine)["verdict"] == "pass"
    blind = table(clean="11111", transferred="00111", mean_20="11011", square="11", rays="11")
    found = declared.transfer(blind)
    assert found["verdict"] == "fail" and found["found"].startswith("of the 4 of 5 images that stand, 2 fall")
    assert "of the 2 of 2 images that stand, 1 fall" in declared.black_box(table(bpda="11", rays="01"))["found"]
    assert declared.black_box(table(bpda="11", rays="01", square="10"))["verdict"] == "fail"
    # What no strong way was tried on does not count.
    assert declared.transfer(table(transferred="11000", plain="11"))["verdict"] == "pass"


def test_a_plateau_is_of_the_images_that_both_saw() -> None:
    few = Behind(NOISY, network(), {}, batch().first(4), 0, 3)
    threat = Threat(eps=(EPS,))

    def told(**ways: str) -> Any:
        rows = table(**ways).assign(right_share=1.0)
        (one,) = declared.plateau(few, threat, EFFORT, rows.assign(image=rows["image"] + 20))
        return one

    assert told(mean_2="1111", mean_3="111")["verdict"] == "pass"
    steep = told(mean_2="1111", mean_3="100")
    assert steep["verdict"] == "fail" and "of 3 images 3 stand under mean_2, 1 under mean_3" in steep["found"]
    assert along_means(["mean_100", "rays", "mean_20", "bpda", "bpda_10", "a_b"]) == [
        ["mean_20", "mean_100"], ["bpda", "bpda_10"]
    ]  # fmt: skip


def test_a_posterior_needs_an_attack_on_its_mean() -> None:
    few = Behind(Toy(as_it_is, posterior=True), network(), {}, batch().first(4), 0, 3)
    assert declared.posterior(few, table(transferred="1", fast="1"))["verdict"] == "pass"
    assert declared.posterior(few, table(transferred="1", plain="1", rays="1", confident="1"))["verdict"] == "fail"
    drawn = Behind(Toy(as_it_is, randomised=True, posterior=True), network(), {}, batch().first(4), 0, 3)
    for draws, verdict in ((1, "fail"), (20, "pass")):
        assert declared.posterior(drawn, table(mean_20="1").assign(draws=draws))["verdict"] == verdict


class Killed(Exception):
    pass


@pytest.mark.parametrize("toy", [NOISY, Toy(repaired(0.02, 0.01), randomised=True, dynamic=True, batch_coupled=True)],
                         ids=["mean", "coupled search"])  # fmt: skip
def test_a_killed_evaluation_goes_on_to_the_same_bytes(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(job(toy), batch(), tmp_path / "whole", tmp_path / "one")
    true, calls = defended.climb, []

    def climb(*args: Any, **options: Any) -> Any:
        if len(calls) == 3:
            raise Killed
        calls.append(args[1].variant)
        return true(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(defended, "climb", climb)
        with pytest.raises(Killed):
            evaluate(job(toy), batch(), tmp_path / "killed", tmp_path / "two")
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "two").rglob("*.safetensors")}
    evaluate(job(toy), batch(), tmp_path / "again", tmp_path / "two")
    assert len(done) >= 5 and all(path.stat().st_mtime_ns == time for path, time in done.items())
    files = sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if path.is_file())
    assert len(files) == 6
    for file in files:
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()


def test_corrupted_images_go_through_both_networks(tmp_path: Path) -> None:
    run(Toy(as_it_is), tmp_path)
    found = artifacts.load_table(tmp_path / "out/corruptions.parquet")
    assert found.groupby("severity").size().to_dict() == {1: 4, 2: 4}
    assert (found["pred"] == found["undefended_pred"]).all()
    twice = found[found["severity"] == 2]
    assert twice["pred"].tolist() == network()(batch().images[:4] / 3).argmax(1).tolist()


def test_the_worst_point_is_the_one_that_the_verdict_errs_most_on(tmp_path: Path) -> None:
    rows, _, _, card = run(Toy(as_it_is), tmp_path)
    points = torch.from_numpy(np.array(artifacts.load_array(tmp_path / "out/examples/worst.npy", "float32", "N C H W")))
    stands = rows[rows["way"] != "static"].groupby("image")["right_mean"].all().tolist()
    assert (network()(points).argmax(1) == batch().labels).tolist() == stands
    assert card["cost"] == {"undefended_multiply_adds": 8 * 16 * 27 + 128 * 4, "draw": 1, "verdict": 1}


def test_what_becomes_of_images_is_written_where_anything_does(tmp_path: Path) -> None:
    def inverted(images: Tensor) -> Tensor:
        return 1 - images

    toy = Toy(lambda network, gradient: lambda images, draws: network(inverted(images)), changed=inverted)
    *_, card = run(toy, tmp_path)
    assert card["shown"] == ["image", "changed"]
    found = artifacts.load_tensors(tmp_path / "out/examples/shown.safetensors")
    assert set(found) == {f"{kind}/{name}" for kind in ("clean", "attacked") for name in ("image", "changed")}
    worst = artifacts.load_array(tmp_path / "out/examples/worst.npy", "float32", "N 3 H W")
    assert np.array_equal(found["clean/image"].numpy(), (255 * batch().images.numpy()).round().astype(np.uint8))
    assert np.array_equal(found["attacked/image"].numpy(), (255 * worst).round().astype(np.uint8))
    for kind in ("clean", "attacked"):  # rounded twice
        total = found[f"{kind}/image"].int() + found[f"{kind}/changed"].int()
        assert ((total - 255).abs() <= 1).all()

    *_, plain = run(Toy(as_it_is), tmp_path / "plain")
    assert plain["shown"] == [] and not (tmp_path / "plain/out/examples/shown.safetensors").exists()


@pytest.mark.parametrize(
    "wrong", [{"costly": 501}, {"costliest": 300}, {"draws": (20, 20, 30)}, {"alpha": 0.1}, {"tries": 0}]
)
def test_effort_refuses_what_contradicts_itself(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Effort(**wrong)


def verdict(each: list[list[float]]) -> Verdict:
    """each: the probability of class 0, the right one, by draw and image."""
    right = torch.tensor(each)
    return Verdict(torch.stack([right, 1 - right], 2).log(), torch.zeros(right.shape[1], dtype=torch.int64))


def test_detection_is_of_the_images_that_a_way_broke() -> None:
    """Image 3 is wrong as it is. The first way leaves doubt on the images 0 and 1, the second none."""
    clean = verdict([[0.99, 0.95, 0.8, 0.2], [0.99, 0.95, 0.8, 0.2]])
    attacked = {
        "loud": verdict([[0.4, 0.45, 0.7, 0.1], [0.4, 0.45, 0.7, 0.1]]),
        "quiet": verdict([[0.0001, 0.9], [0.0001, 0.9]]), "none": verdict([[0.6, 0.6], [0.6, 0.6]]),
        "apart": verdict([[0.9, 0.9], [0.01, 0.01]]),
    }  # fmt: skip
    table = detection.measure(clean, attacked, np.arange(4), np.random.default_rng(0))
    assert table["way"].tolist() == ["loud", "loud", "quiet", "quiet", "apart", "apart"]
    assert table["score"].tolist() == ["predictive entropy", "mutual information"] * 3
    assert table["broken"].tolist() == [2, 2, 1, 1, 2, 2]
    assert table["auroc"].tolist() == [1.0, 0.5, 0.0, 0.5, 1.0, 1.0]
    assert ((table["low"] <= table["auroc"]) & (table["auroc"] <= table["high"])).all()


@pytest.mark.parametrize("toy", [Toy(as_it_is, posterior=True), Toy(noisy(0.02), randomised=True, posterior=True)])
def test_a_posterior_is_asked_for_its_doubts(toy: Toy, tmp_path: Path) -> None:
    rows, _, _, card = run(toy, tmp_path)
    assert card["ways"]["confident"] == {"images": 6, "draws": 2 if toy.randomised else 1}
    table = artifacts.load_table(tmp_path / "out/detection.parquet")
    assert set(table["way"]) <= set(rows["way"]) - {"clean", "static"} and len(table)
    entropy = table[table["score"] == "mutual information"]
    assert (entropy["auroc"] != 0.5).any(), "the networks of the posterior differ"
    assert (tmp_path / "out/probability.parquet").is_file() == toy.randomised


class Shifted:
    """A score w.x + b, b drawn anew for each network: which corner is worst is known, and how often it suffices."""

    SIGMA = 0.1

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight

    def __call__(self, network: nn.Module, gradient: Gradient) -> Drawn:
        def drawn(images: Tensor, draws: Draws) -> Tensor:
            score = (images * self.weight).sum((1, 2, 3)) + self.SIGMA * draws.normal(1)[:, 0]
            return torch.stack([torch.zeros_like(score), score], 1)

        return drawn


def test_the_probability_of_a_robust_draw_is_the_closed_form() -> None:
    weight = torch.randn(3, H, W, generator=torch.Generator().manual_seed(1)) / 10
    wanted = np.array([0.02, 0.2, 0.5, 0.8, 0.98])
    scores = torch.tensor([NormalDist().inv_cdf(p) * Shifted.SIGMA for p in wanted]) + EPS * weight.abs().sum()
    middle = torch.full((5, 3, H, W), 0.5)
    images = middle + ((scores - (middle * weight).sum((1, 2, 3))) / weight.square().sum()).view(-1, 1, 1, 1) * weight
    assert ((images > EPS) & (images < 1 - EPS)).all(), "no corner of the ball is cut off"
    few = Batch(images, torch.ones(5, dtype=torch.int64), np.arange(5), np.arange(5), 5)
    toy = Toy(Shifted(weight), randomised=True, posterior=True)
    precision = Precision()
    table = probability.measure(Behind(toy, network(), {}, few, 0, 3), Threat(eps=(EPS,)), precision)
    assert (table["probability"] - wanted).abs().max() <= precision.gamma
    assert ((table["low"] <= wanted) & (wanted <= table["high"])).all()
    assert (
        table["samples"].max() <= precision.chernoff and (table["samples"] + table["saved"] == precision.chernoff).all()
    )
