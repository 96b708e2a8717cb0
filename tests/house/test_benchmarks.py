"""The pieces that the benchmarks are made of, on a linear model; no other library is needed."""

import dataclasses
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from common import compare, models, passes, peers, results, rows, timing  # noqa: E402

from pixelprune import artifacts, state  # noqa: E402
from pixelprune.attacks.balls import L2Ball, LinfBall  # noqa: E402
from pixelprune.attacks.pgd import PGD  # noqa: E402
from pixelprune.errors import ArtifactError, ParamsError  # noqa: E402
from pixelprune.fills.black import Black  # noqa: E402

BALL = LinfBall(eps=0.1)


@dataclasses.dataclass(frozen=True)
class FakePeer:
    """Steps once against the gradient of the right logit; `fault` says what else it does."""

    fault: str = ""
    package: str = "torch"
    name: str = "fake"

    def __call__(self, module, images, labels, ball):
        images.requires_grad_()
        logits = module(images).gather(1, labels[:, None]).sum()
        (grad,) = torch.autograd.grad(logits, images)
        points = (images.detach() - ball.eps * grad.sign()).clamp(0, 1)
        if self.fault == "train mode":
            module.train()
        elif self.fault == "drift":
            next(module.buffers()).add_(1)
        elif self.fault == "ball":
            points = (images.detach() + 0.5).clamp(0, 1)
        elif self.fault == "range":
            points = images.detach() + ball.eps
        elif self.fault == "nan":
            points[0, 0, 0, 0] = torch.nan
        return points


@pytest.fixture
def subject():
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 3)).eval()
    with torch.no_grad():
        network[2].weight.copy_(torch.randn(3, 12, generator=generator))
        network[2].bias.zero_()
    images = torch.rand(10, 3, 2, 2, generator=generator)
    images[0, 0, 0, 0] = 1
    labels = network(images).argmax(1)
    return models.Subject(
        "linear", "digest", network, network, Black(name="black"), images, labels, np.arange(10) + 100,
        torch.ones(10, 1, 2, 2, dtype=torch.bool),
    )  # fmt: skip


def test_passes_of_a_module_are_counted(subject):
    counted = passes.CountedModule(subject.original)
    points = subject.images.clone().requires_grad_()
    counted(points).sum().backward()
    with torch.no_grad():
        counted(points[:3])
    counted(points[:2])  # a gradient that could have been asked for, and was not
    assert counted.passed == {"forward": 15, "backward": 10}


@pytest.mark.parametrize(
    "fault, message",
    [
        ("train mode", "fake left the model in train mode"),
        ("drift", "fake changed network.1.running_mean"),
        ("ball", "fake left the linf ball: 0.5"),
        ("range", r"fake left \[0, 1\]"),
        ("nan", "fake returned values that are not finite"),
    ],
)
def test_a_peer_that_breaks_the_rules_is_found_out(subject, tmp_path, fault, message):
    with pytest.raises(AssertionError, match=message):
        rows.compute(subject, FakePeer(fault), BALL, lambda _: None, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_l2_ball_and_the_mask_are_held(subject):
    images, mask = subject.images.clamp(0.2, 0.8), subject.mask.clone()
    mask[:, :, 0, 0] = False
    points = images + 0.1 / 12**0.5
    passes.assert_inside(points, images, L2Ball(eps=0.1), None, "it")
    with pytest.raises(AssertionError, match="it left the l2 ball"):
        passes.assert_inside(points, images, L2Ball(eps=0.099), None, "it")
    with pytest.raises(AssertionError, match="it wrote outside of the mask"):
        passes.assert_inside(points, images, L2Ball(eps=0.1), mask, "it")


def test_rows_are_computed_once_chunk_by_chunk(subject, tmp_path):
    whole = rows.compute(subject, FakePeer(), BALL, lambda _: None, tmp_path / "whole", chunk=4)
    lines = []
    place = tmp_path / "killed"
    rows.compute(subject.part(slice(4)), FakePeer(), BALL, lines.append, place, chunk=4)
    rows.compute(subject, FakePeer(), BALL, lines.append, place, chunk=4)
    again = rows.compute(subject, FakePeer(), BALL, lines.append, place, chunk=4)
    done = [line.partition("linf: ")[2].partition(" missing")[0] for line in lines]
    assert done == ["4 of 4", "4 of 6", "6 of 6"]
    assert again.drop(columns="seconds").equals(whole.drop(columns="seconds"))
    total = rows.totals(again)
    assert (total.images, total.forward, total.backward) == (10, 10, 10)
    assert total.standing == set(again.image[again.stands]) and total.peer == f"torch {peers.version(FakePeer())[6:]}"
    assert again.clean.all() and 0 < again.stands.sum() < 10
    assert list(again.columns) == list(rows.COLUMNS)
    part = rows.totals(rows.finished(subject.part(slice(6)), FakePeer(), BALL, place))  # a chunk of 4 and half a chunk
    assert (part.images, part.forward) == (6, 6) and 0 < part.seconds < total.seconds


@pytest.mark.parametrize("change", [{"digest": "other"}, {"ball": LinfBall(eps=0.2)}])
def test_rows_of_other_weights_or_options_do_not_count(subject, tmp_path, change):
    rows.compute(subject, FakePeer(), BALL, lambda _: None, tmp_path)
    assert len(rows.finished(subject, FakePeer(), BALL, tmp_path)) == 10
    ball = change.pop("ball", BALL)
    assert len(rows.finished(dataclasses.replace(subject, **change), FakePeer(), ball, tmp_path)) == 0


def test_contestants_take_turns_and_the_median_counts(monkeypatch):
    turns, clock = [], iter([0, 1, 1, 3, 3, 8, 8, 9, 9, 11, 11, 14])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    assert timing.alternate({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}) == {"a": 2, "b": 2}
    assert turns == list("ababab")


def test_the_floor_books_a_backward_pass_with_its_forward_one():
    assert timing.floor_seconds(10, 4, {"forward": 1.0, "both": 3.0}) == 4 * 3 + 6 * 1


def test_our_side_is_measured_as_the_ladder_does(subject):
    case = compare.Case("linear", PGD(steps=5), FakePeer(), BALL)
    stands, spent, seconds = compare.measure(subject, case)
    theirs = rows.right(subject.original, FakePeer()(subject.original, subject.images.clone(), subject.labels, BALL),
                        subject.labels)  # fmt: skip
    assert stands <= set(subject.ids[theirs.numpy()]) and stands < set(subject.ids)
    assert 0 < spent.backward.sum() < spent.forward.sum() and seconds > 0


@pytest.fixture
def stage(subject, tmp_path, monkeypatch):
    """Everything that a comparison reads or writes lies in memory or in the returned folder."""
    found = rows.compute(subject, FakePeer(), BALL, lambda _: None, tmp_path)
    for module, values in {
        models: {"is_there": lambda name: True, "load": lambda name: subject},
        rows: {"finished": lambda *_: found},
        timing: {"bare_passes": lambda network, images: {"forward": 1e-6, "both": 2e-6}},
        results: {"replace": partial(results.replace, path=tmp_path / "results.json", page=tmp_path / "RESULTS.md")},
    }.items():
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)
    return tmp_path


def test_a_comparison_becomes_an_entry(stage):
    compare.run("pgd20", [compare.Case("linear", PGD(steps=5), FakePeer(), BALL)])
    (entry,) = artifacts.load_json(stage / "results.json")
    assert set(results.FIELDS) <= set(entry) and None not in [entry[field] for field in results.FIELDS]
    assert entry["n"] == 10 and entry["ratio"] == pytest.approx(entry["peer_s"] / entry["ours_s"], rel=1e-3)
    assert entry["ours_robust"] <= entry["peer_robust"]
    page = (stage / "RESULTS.md").read_text()
    assert "| linear | torch" in page and "`python benchmarks/pgd20.py`" in page


def test_a_peer_of_several_subjects_has_its_turns_once(stage, monkeypatch):
    calls = []
    monkeypatch.setattr(rows, "attack", lambda *options: calls.append("peer"))
    cases = [compare.Case("linear", PGD(steps=steps), FakePeer(), BALL) for steps in (5, 10)]
    compare.run_together({"pgd20": cases[:1], "fast_ensemble": cases[1:]})
    first, second = artifacts.load_json(stage / "results.json")
    assert calls == ["peer"] * timing.ROUNDS
    assert first["peer_s"] == second["peer_s"] and first["ours_s"] != second["ours_s"]
    assert first["ours_passes"] < second["ours_passes"] and first["floor_share"] != second["floor_share"]


def test_one_model_of_a_subject_may_be_run_alone(stage):
    cases = [compare.Case(name, PGD(steps=2), FakePeer(), BALL) for name in ("linear", "other")]
    compare.run("pgd20", cases)
    whole = artifacts.load_json(stage / "results.json")
    compare.run("pgd20", [*cases[:1], dataclasses.replace(cases[1], images=4)], "other")
    alone = artifacts.load_json(stage / "results.json")
    assert [each["model"] for each in alone] == ["linear", "other"] and alone[0] == whole[0] and alone[1]["n"] == 4
    with pytest.raises(ParamsError, match="found model 'othr', expected one of linear, other"):
        compare.run("pgd20", cases, "othr")


def test_what_cannot_be_run_replaces_nothing_that_was_measured(stage, monkeypatch, capsys):
    cases = [compare.Case(name, PGD(steps=2), FakePeer(), BALL) for name in ("linear", "other")]
    compare.run("pgd20", cases)
    before = artifacts.load_json(stage / "results.json")
    monkeypatch.setattr(models, "is_there", lambda name: name == "linear")
    new = [*cases, compare.Case("third", PGD(steps=2), FakePeer(), BALL)]
    compare.run_together({"pgd20": new, "apgd_ce100": new[:1]})
    after = artifacts.load_json(stage / "results.json")
    assert [(each["subject"], each["model"]) for each in after] == [
        ("pgd20", "linear"), ("pgd20", "other"), ("pgd20", "third"), ("apgd_ce100", "linear"),
    ]  # fmt: skip
    assert after[1] == before[1] and after[2]["note"].startswith("not run: no weights yet")
    why = "not run: no weights yet, `make bench TRAIN=1` trains this network first"
    message = [
        "pgd20: 2 of its models could not be run",
        f"  other: {why}; its figures are those of before",
        f"  third: {why}",
    ]
    assert "\n".join(message) in capsys.readouterr().out
    with pytest.raises(ArtifactError, match="pgd20: 1 of its models could not be run\n  other: not run: no weights"):
        compare.run("pgd20", new, "other")


def test_without_their_peer_the_corruptions_stay_as_they_were(stage, monkeypatch):
    import corruptions

    rows_of = [results.entry(subject="corruptions", model=name, machine="m", ratio=2.0) for name in ("all", "fog")]
    results.replace("corruptions", rows_of)
    monkeypatch.setattr(corruptions, "peer", lambda: 1 / 0)
    with pytest.raises(ArtifactError, match="all: not run: ZeroDivisionError"):
        corruptions.main()
    assert artifacts.load_json(stage / "results.json") == rows_of


def test_a_subject_replaces_its_own_entries_alone(tmp_path):
    path, page = tmp_path / "results.json", tmp_path / "RESULTS.md"
    first = results.entry(subject="training", model="a", ours_s=1.23456)
    second = results.entry(subject="pgd20", model="b", note="why", disagree={"ours": [7]})
    results.replace("training", [first], path=path, page=page)
    results.replace("pgd20", [second], path=path, page=page)
    results.replace("training", [results.entry(subject="training", model="c")], path=path, page=page)
    written = artifacts.load_json(path)
    assert [(each["subject"], each["model"]) for each in written] == [("pgd20", "b"), ("training", "c")]
    assert first["ours_s"] == 1.235
    for seconds, machine in ((1.0, "large"), (2.0, "small"), (3.0, "large")):
        new = results.entry(subject="training", model="d", machine=machine, ours_s=seconds, weights="1f")
        results.replace("training", [new], "d", path, page)
    written = artifacts.load_json(path)
    assert [(each["model"], each["machine"], each["ours_s"]) for each in written] == [
        ("b", None, None), ("c", None, None), ("d", "large", 3.0), ("d", "small", 2.0),
    ]  # fmt: skip
    assert "| d | 3 | A | 1f |\n| d | 2 | B | 1f |" in page.read_text()
    assert "- A: large\n- B: small" in page.read_text()
    assert page.read_text() == results.render(written)
    assert "- b: why" in page.read_text() and "ours 7" in page.read_text()
    with pytest.raises(ValueError, match="found subject 'pgd21'"):
        results.entry(subject="pgd21", model="a")


@pytest.mark.skipif(not results.JSON.exists(), reason="the benchmarks have not run yet")
def test_the_page_is_what_the_results_render_to():
    written = artifacts.load_json(results.JSON)
    assert results.PAGE.read_text() == results.render(written), "python -m common.results, in benchmarks"
    assert all(set(results.FIELDS) <= set(each) for each in written)
    assert {each["subject"] for each in written} <= set(results.SUBJECTS)


def test_every_subject_has_its_script():
    assert all((ROOT / "benchmarks" / f"{subject}.py").is_file() for subject in results.SUBJECTS)
    listed = (ROOT / "Makefile").read_text().partition("BENCH := ")[2].partition("\n\n")[0]
    measured = {*listed.replace("\\", " ").split(), "aa_standard_adversarial"}  # by fast_ensemble
    assert measured == set(results.SUBJECTS)


def test_what_the_peers_found_belongs_to_the_weights_that_are_kept() -> None:
    kept = {path.parent.name: state.file_digest(path) for path in models.WEIGHTS.glob("*/model.safetensors")}
    checked = 0
    for path in rows.FOLDER.glob("*.parquet"):
        table = artifacts.load_table(path)
        (name,) = [name for name in models.RUNS if f"-{name}-" in path.name or path.stem.endswith(f"-{name}")]
        if name in kept and "weights" in table:
            assert {digest.partition("-")[0] for digest in table.weights} == {kept[name][:16]}, path.name
            checked += 1
    assert checked >= 9, "the weights of the small networks are in git, and so are these rows of theirs"
