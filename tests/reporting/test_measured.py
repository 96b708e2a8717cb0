"""What the report says of measures: numbers as their summaries have them, and new members without code of their own."""

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixelprune import measuring
from pixelprune.attacks.threat import Threat
from pixelprune.errors import ArtifactError
from pixelprune.reporting import beside as files
from pixelprune.reporting import collect, measured, sections
from pixelprune.reporting.analysis import Analysis, analyze
from pixelprune.reporting.collect import Results
from pixelprune.reporting.measured import Cell, Value
from pixelprune.reporting.page import render
from pixelprune.reporting.sections import Measures
from reporting import synthetic
from reporting import synthetic_beside as beside
from reporting import test_report_page as whole
from reporting.conftest import ADVERSARIAL, FEW, with_failed
from reporting.test_defended import whole_and_sound
from tests.contracts import test_measures as contract

PLACES = [f"{strategy}/adversarial/0" for strategy in FEW]

Measured = Callable[[list[str]], Results]


@pytest.fixture
def measure(few: tuple[Results, Analysis], tmp_path: Path) -> Measured:
    """A study whose runs have the measures of these keys, which `tmp_path` holds."""

    def make(keys: list[str]) -> Results:
        return replace(few[0], measured=files.findings(tmp_path, FEW, ["adversarial"], [0], keys))

    return make


def drawn(few: tuple[Results, Analysis], results: Results) -> Measures:
    return sections.of_measures(results, few[1])


def test_flat_takes_every_number_and_no_word() -> None:
    summary = {
        "measure": {"name": "x", "images": 9}, "n": 20, "eps": 0.5, "word": "w", "holds": True, "list": [1],
        "clean": {"share": 0.5, "low": 0.25, "high": 0.75, "n": 10}, "none": None, "error": 0.25,
        "auc": {"map": {"mean": 0.2, "low": 0.1, "high": 0.3, "n": 4}}, "own": {"samples": 7, "probability": 0.5,
        "low": 0.4, "high": 0.6, "saved": 3},
    }  # fmt: skip
    assert measured.flat(summary) == {
        "eps": Value(0.5, n=20),
        "clean": Value(0.5, 0.25, 0.75, 10, share=True),
        "none": Value(None, n=20),
        "error": Value(0.25, n=20, share=True),
        "auc.map": Value(0.2, 0.1, 0.3, 4),
        "own": Value(0.5, 0.4, 0.6, 7, share=True),
        "own.samples": Value(7),
        "own.saved": Value(3, n=7),
    }


@pytest.mark.parametrize(("value", "text"), [(0.01234, "0.0123"), (1234.5, "1,234"), (4.0, "4"), (inf, "∞")])
def test_plain_numbers(value: float, text: str) -> None:
    assert measured.plain(value) == text


def test_shown_has_the_interval_and_n_where_nothing_else_says_it() -> None:
    value = Value(0.5, 0.25, 0.75, 20, share=True)
    assert measured.shown(value) == Cell("50.0", "[25.0, 75.0]")
    assert measured.shown(value, counted=False) == Cell("50.0", "[25.0, 75.0], n = 20")
    assert measured.shown(Value(None, n=20)) == Cell("–")


def test_psi_stands_beside_the_worst_case_and_is_ranked_with_it(
    few: tuple[Results, Analysis], measure: Measured, tmp_path: Path
) -> None:
    worst = {run.place: few[1].entries[run.strategy, run.training].robust.value for run in few[0]}
    assert len(set(worst.values())) == 3
    order = sorted(worst, key=lambda place: worst[place])
    for rank, place in enumerate(order):
        # psi ranks the runs as the worst case does, and the best is infinite; PGD-10 the other way round.
        median = None if rank == 2 else 1.0 + rank
        beside.measure(tmp_path, f"{place}/psi", "psi", beside.psi(median, 10 - rank, inside=rank > 0))
    found = drawn(few, measure(["psi"]))
    assert found.values["psi"][""] == {
        "spearman of masked.median_psi with worst case": Value(1.0, n=3),
        "spearman of masked.robust_pgd10 with worst case": Value(-1.0, n=3),
    }
    (block,) = found.blocks
    assert (
        "Over n = 3 runs" in block.sentences[0] and "is +1.00 for median psi and -1.00 for PGD-10" in block.sentences[0]
    )
    assert block.sentences[1].startswith(f"The temperature of {order[0]} lies at its bound")
    assert [head for head, _ in block.table.columns][:7] == [
        "median psi", "mean KL", "1 / mean KL", "no other label within the KL, %", "clean, %", "PGD-10, %",
        "worst case, %",
    ]  # fmt: skip
    cells = dict(block.table.rows)[order[2]]
    assert (cells[0].text, cells[4].text, cells[5].text) == ("∞", "80.0", "40.0")
    assert cells[6].text == f"{100 * worst[order[2]]:.1f}"


def test_psi_of_an_invalid_run_is_not_held_against_its_accuracy(
    few: tuple[Results, Analysis], measure: Measured, tmp_path: Path
) -> None:
    for number, place in enumerate(PLACES):
        beside.measure(tmp_path, f"{place}/psi", "psi", beside.psi(1.0 + number, 5))
    results = with_failed(measure(["psi"]), {"shifted"})
    found = sections.of_measures(results, analyze(results, results.threats["linf"]))
    assert "worst_case" not in found.values["psi"]["shifted/adversarial/0"]
    assert "" not in found.values["psi"] and not found.blocks[0].sentences, "two runs are too few"


def test_corruptions_are_held_against_none(few: tuple[Results, Analysis], measure: Measured, tmp_path: Path) -> None:
    for less, place in enumerate(PLACES):
        summary, table = beside.corruptions(less)
        beside.measure(tmp_path, f"{place}/all", "corruptions", summary, {"rows": table})
    found = drawn(few, measure(["all"]))
    own = found.values["all"]
    assert own["none/adversarial/0"]["mce"].value == 1
    # Of 40, 22 and 20 are wrong; two more each where one image less is right at either severity.
    assert own["foreground/adversarial/0"]["mce"].value == pytest.approx((24 / 22 + 22 / 20) / 2)
    (fold,) = found.blocks[0].folds
    assert fold.grids[1].rows == (
        ("gaussian noise", (Cell("45", tint=4), Cell("35", tint=3), Cell("40", tint=4), Cell("109.1"))),
        ("fog", (Cell("70", tint=7), Cell("20", tint=2), Cell("45", tint=4), Cell("110.0"))),
    )


def test_low_pass_is_drawn_and_never_called_good(
    few: tuple[Results, Analysis], measure: Measured, tmp_path: Path
) -> None:
    for place in PLACES:
        beside.measure(tmp_path, f"{place}/low", "low_pass", beside.low_pass())
    (block,) = drawn(few, measure(["low"])).blocks
    (figure,) = block.figures
    assert len(figure.panels) == 3
    assert [(*row[1:3], row[3].split()[0]) for row in figure.rows[:3]] == [
        ("ideal", "2", "20.0"), ("ideal", "4", "45.0"), ("ideal", "10", "80.0"),
    ]  # fmt: skip
    assert [cell.text for cell in block.table.rows[0][1]] == ["80.0", "60.0", "4", "60.0", "–"]
    assert "neither good nor bad by itself" in block.about and "neither better nor worse" in figure.note


def test_maps_are_ranked_under_each_baseline(few: tuple[Results, Analysis], measure: Measured, tmp_path: Path) -> None:
    for place in PLACES:
        beside.measure(tmp_path, f"{place}/maps", "map_quality", beside.map_quality())
    (block,) = drawn(few, measure(["maps"])).blocks
    assert block.sentences == (", ".join(f"`{place}`" for place in PLACES) + ": the ranking depends on the baseline.",)
    ranking, agreement = block.folds[0].grids
    assert [head for head, _ in ranking.columns] == [
        "deletion, black", "deletion, blur", "insertion, black", "insertion, blur",
    ]  # fmt: skip
    places = {name: [cell.small.rpartition(" ")[2] for cell in cells] for name, cells in ranking.rows}
    # Deletion: 0.2 and 0.4 on black, 0.4 and 0.2 on blur, low is good; insertion: 0.6 and 0.5.
    assert places == {"gradient": ["1", "2", "1", "1"], "random (control)": ["2", "1", "2", "2"]}
    assert agreement.rows == (("black and blur", (Cell("-1.00"), Cell("+1.00"))),)


def test_a_new_measure_needs_no_code_here(few: tuple[Results, Analysis], measure: Measured, tmp_path: Path) -> None:
    for place in PLACES:
        many = {f"k{number:02}": float(number) for number in range(20)}
        beside.measure(tmp_path, f"{place}/new", "never_heard_of", {"n": 20, "by": beside.rate(5), **many})
    (block,) = drawn(few, measure(["new"])).blocks
    assert len(block.table.columns) == measured.WIDEST
    assert block.table.columns[0] == ("by, %", "n = 20")
    assert block.table.rows[0][1][0].text == "25.0"
    assert "9 further numbers: report/measured.csv." in block.table.caption


@pytest.mark.parametrize(("name", "shown"), [("signs", {"surface", "filtered"}), ("cifar10", {"surface"})])
def test_pictures_of_images_are_shown_only_where_the_terms_allow_it(
    few: tuple[Results, Analysis], measure: Measured, tmp_path: Path, name: str, shown: set[str]
) -> None:
    picture = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)
    for place in PLACES:
        beside.measure(
            tmp_path, f"{place}/x", "x", {"n": 1}, pictures={"surface": picture, "filtered": picture[..., 0]}
        )
    results = measure(["x"])
    results = replace(results, data={**results.data, "name": name})
    (block,) = drawn(few, results).blocks
    assert len(block.pictures) == 3 * len(shown) and not block.other_pictures
    by = {one.caption: one for one in block.pictures}
    assert set(by) == {sections.WITHOUT_IMAGES.get(key) or sections.OTHERS[key] for key in shown}
    one = by[sections.WITHOUT_IMAGES["surface"]]
    assert (one.width, one.height) == (12 * 21, 8 * 21)
    assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(one.uri.partition(",")[2])))) == picture).all()


def test_pictures_end_before_the_budget_does(
    few: tuple[Results, Analysis], measure: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in PLACES:
        beside.measure(tmp_path, f"{place}/x", "x", {"n": 1}, pictures={"heat": np.zeros((8, 8), np.uint8)})
    results = measure(["x"])
    size = len(drawn(few, results).blocks[0].pictures[0].uri)
    monkeypatch.setattr(sections, "BUDGET", 2 * size)
    assert [one.place for one in drawn(few, results).blocks[0].pictures] == PLACES[:2]


def test_the_page_and_the_table_have_all_measures(
    few: tuple[Results, Analysis], measure: Measured, tmp_path: Path
) -> None:
    keys = beside.every_measure(tmp_path, PLACES)
    results = measure(keys)
    found = drawn(few, results)
    text = render(results, [few[1]], {}, (), found.blocks)
    page = whole.Page(text)
    whole_and_sound(page, text)
    assert {f"measure-{key}" for key in keys} <= set(whole.ids(page))
    assert "<code>measures</code>" in text
    table = measured.table(results.measured, found.values)
    assert list(dict.fromkeys(table["measure"])) == keys
    assert not table.duplicated(["strategy", "training", "seed", "measure", "quantity"]).any()
    row = table[(table["measure"] == "chance") & (table["quantity"] == "robust")].iloc[0]
    assert row[["strategy", "value", "low", "high", "n"]].tolist() == ["none", 0.25, 0.175, 0.325, 140]
    together = table[table["strategy"].isna()]
    assert set(together["measure"]) == {"psi"} and (together["n"] == 3).all()


def test_what_every_member_really_finds_can_be_shown(
    few: tuple[Results, Analysis], measure: Measured, tmp_path: Path
) -> None:
    for member in contract.MEMBERS:
        options = contract.options(member)
        found = options(contract.run())
        for place in PLACES:
            measuring._save(found, options, Threat(eps=(8 / 255,)), tmp_path / "measures" / place / options.name)
    keys = [contract.named(member) for member in contract.MEMBERS]
    results = measure(keys)
    made = drawn(few, results)
    text = render(results, [few[1]], {}, (), made.blocks)
    whole_and_sound(whole.Page(text), text)
    for block in made.blocks:
        wanted = [path for _, path in measured.HEADLINES.get(block.name, ())]
        known = {path for place in PLACES for path in made.values[block.name][place]}
        assert set(wanted) <= known, f"{block.name}: no number is called {set(wanted) - known}"
        assert block.about or block.name not in measured.HEADLINES


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    beside.measure(tmp_path, "none/adversarial/0/x", "x", {"n": 1})
    with pytest.raises(ArtifactError, match=r"foreground.*summary\.json: no such file"):
        files.findings(tmp_path, ["none", "foreground"], ["adversarial"], [0], ["x"])
    (tmp_path / "measures/none/adversarial/0/x/heat.npy").write_bytes(b"odd")
    (found,) = files.findings(tmp_path, ["none"], ["adversarial"], [0], ["x"])["x"]
    with pytest.raises(ArtifactError, match=r"heat\.npy: not a whole .npy file"):
        found.pictures()


def test_what_was_measured_under_another_threat_than_the_first_is_refused(tmp_path: Path) -> None:
    """DVC runs nothing again where `threats` only change their order."""
    synthetic.write(tmp_path, strategies=FEW, trainings=ADVERSARIAL, count=32, attacked=24)
    for strategy in FEW:
        beside.measure(tmp_path, f"{strategy}/adversarial/0/x", "psi", {"n": 1})
    threats = {"l2": {"norm": "l2", "eps": [0.5]}, **synthetic.THREATS}
    common = {"strategies": FEW, "trainings": ADVERSARIAL, "seeds": [0], "ladder": synthetic.LADDER, "measures": ["x"]}
    assert collect.read(tmp_path, threats=synthetic.THREATS, **common).measured["x"]
    with pytest.raises(ArtifactError, match=r"none/adversarial/0/x: made under linf 0\.0314, .*`dvc repro -f measure`"):
        collect.read(tmp_path, threats=threats, **common)
