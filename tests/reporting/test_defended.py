"""What the report says of defenses: the numbers of the tables, and not one where a check forbids it."""

import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from pixelprune.errors import ArtifactError
from pixelprune.evaluation.check import check
from pixelprune.evaluation.intervals import clopper_pearson
from pixelprune.reporting import beside as files
from pixelprune.reporting import defended, figure_defended, figure_spectrum, sections, terminal
from pixelprune.reporting.analysis import Analysis, analyze
from pixelprune.reporting.collect import Results
from pixelprune.reporting.defended import Entry
from pixelprune.reporting.page import render
from pixelprune.reporting.write import write
from reporting import synthetic
from reporting import synthetic_beside as beside
from reporting import test_report_page as whole
from reporting.conftest import ADVERSARIAL, FEW, LINEAGE, read, with_failed

POSTERIOR = ("randomised", "posterior")
FAILED = check("E17", "it computes no gradient", "it computes gradients", "none", "F", False)
WARNED = check("E16", "more draws find no more", "10 under mean_20, 6 under mean_50", "1 image", "W", False)

Defend = Callable[..., Results]
Entries = Callable[[Results], list[Entry]]
Drawn = Callable[[Results], str]


@pytest.fixture
def defend(few: tuple[Results, Analysis], tmp_path: Path) -> Defend:
    """A study with `rain` around its network, as the words say; and with all that `also` names."""

    def make(also: dict[str, dict[str, Any]] | None = None, **named: Any) -> Results:
        defenses = {"rain": named} | (also or {})
        for name, own in defenses.items():
            beside.defend(tmp_path, f"none/adversarial/0/{name}", **own)
        return replace(few[0], defended=files.defended(tmp_path, "none", ["adversarial"], [0], defenses))

    return make


@pytest.fixture
def entries(few: tuple[Results, Analysis]) -> Entries:
    return lambda results: defended.analyze(results, few[1])


@pytest.fixture
def page(few: tuple[Results, Analysis]) -> Drawn:
    return lambda results: render(results, [few[1]], {}, defended.analyze(results, few[1]))


def whole_and_sound(found: whole.Page, text: str) -> None:
    whole.test_it_loads_nothing(found)
    whole.test_it_runs_nothing(found)
    whole.test_every_picture_speaks(found)
    whole.test_every_figure_has_its_numbers(found, text)
    whole.test_tables_have_captions_and_scopes(found)
    whole.test_headings_go_down_one_step_at_a_time(found)
    whole.test_landmarks_language_and_anchors(found)


def section(text: str) -> str:
    start = text.index('<section id="defenses"')
    return text[start : text.index("</section>", start)]


def test_the_sentence_has_every_number_that_is_left(defend: Defend, entries: Entries) -> None:
    (entry,) = entries(defend())
    said = defended.sentence(entry)
    assert said.startswith(
        "`rain` (adversarial): 60.0 % [43.3, 75.1] of 40 stand points made on the undefended network"
    )
    assert "which is not a robustness number" in said
    # Of the first 8 images 3 stand mean_100; 4 stand the attack on the undefended network.
    assert "37.5 % [8.5, 75.5] of 8 stand all attacks, those that know it included" in said
    assert "of the same 8 the undefended network holds 50.0 % [15.7, 84.3] under its own attack" in said
    assert "difference -12.5 pt [" in said and said.endswith("p = 1.00: no difference is shown.")


@pytest.mark.parametrize(("left", "before", "kind"), [(30, 0, "gain"), (0, 30, "loss")])
def test_a_change_is_named_where_it_is_shown(
    defend: Defend, entries: Entries, left: int, before: int, kind: str
) -> None:
    counts = {"clean": (40, 40), "static": (before, 40), "transferred": (38, 40), "fast": (left, 40)}
    (entry,) = entries(defend(counts=counts, declares=()))
    assert entry.hardest.difference.value == pytest.approx((left - before) / 40)
    assert entry.hardest.p < 0.001
    assert defended.sentence(entry).endswith(f"p < 0.001: a {kind} is shown.")


def test_worst_cases_count_the_ways_that_saw_as_many_images(defend: Defend, entries: Entries) -> None:
    results = defend({"reversal": {"counts": beside.REVERSAL, "declares": ("randomised", "dynamic", "batch_coupled")}})
    rain, reversal = entries(results)
    assert [(way.n, way.after.value) for way in rain.worst] == [(40, 0.25), (20, 0.3), (8, 0.375)]
    assert [len(rain.knowing(way)) for way in rain.worst] == [1, 5, 6]
    # No way that knows it saw 40 images: the transferred points alone are no worst case.
    assert [(way.n, way.after.value) for way in reversal.worst] == [(20, 0.25), (8, 0.25)]
    assert "worst of 40" not in set(defended.table([reversal])["way"])
    assert (rain.declares, reversal.declares) == ("randomised", "batch coupled, dynamic, randomised")


def test_an_invalid_defense_has_no_number_under_attack(defend: Defend, page: Drawn, entries: Entries) -> None:
    results = defend(checks=[*beside.PASSED[1:], FAILED], declares=POSTERIOR)
    (entry,) = entries(results)
    assert entry.judged.word == "invalid"
    said = defended.sentence(entry)
    assert said == (
        "`rain` (adversarial): no robust accuracy is given, as a fatal check failed: E17 it computes no gradient: "
        "fail (it computes gradients)."
    )
    shown = section(page(results))
    assert "✕ not printed" in shown and "invalid" in shown
    for number in ("43.3, 75.1", "37.5", "25.0<small>", "0.710", "31.2"):
        assert number not in shown, number
    found = defended.table([entry])
    assert set(found.loc[found["n"].notna() & (found["quantity"] == "defended"), "way"]) == {"clean", "corruptions"}
    assert not {"auroc of entropy", "probability"} & set(found["quantity"])
    assert defended.summary([entry]) == {"rain": {"adversarial": {"clean": 0.9, "verdict": "invalid"}}}
    assert figure_defended.plateau([entry]) is None


def test_a_warning_or_a_check_that_did_not_run_makes_an_upper_bound(defend: Defend, entries: Entries) -> None:
    not_run = {**FAILED, "verdict": "not run"}
    for checks, reason in (
        ([beside.PASSED[0], WARNED], "E16 more draws"),
        ([not_run], "not run"),
        ([], "no check ran"),
    ):
        (entry,) = entries(defend(checks=checks))
        assert entry.judged.word == "upper bound"
        assert "Only an upper bound: " in defended.sentence(entry) and reason in defended.sentence(entry)


def test_nothing_is_compared_with_an_invalid_network(defend: Defend, page: Drawn, entries: Entries) -> None:
    results = with_failed(defend(), {"none"})
    analysis = analyze(results, results.threats["linf"])
    (entry,) = found_entries = defended.analyze(results, analysis)
    assert not entry.comparable
    assert "the undefended network's own result is invalid, so nothing is compared" in defended.sentence(entry)
    assert "difference" not in defended.sentence(entry)
    shown = section(render(results, [analysis], {}, found_entries))
    assert "15.7, 84.3" not in shown and "37.5" in shown
    found = defended.table([entry])
    assert set(found.loc[found["quantity"].isin(["undefended", "difference"]), "way"]) == {"clean", "corruptions"}


def test_the_table_has_a_row_a_number(defend: Defend, entries: Entries) -> None:
    (entry,) = entries(defend(facts={"parameters_after": 188000}, declares=POSTERIOR))
    found = defended.table([entry]).set_index(["way", "quantity"])
    assert found.index.is_unique
    mean_50 = list(found.loc[("mean_50", "defended"), ["value", "n", "low", "high"]])
    assert mean_50 == pytest.approx([0.3, 20, *clopper_pearson(6, 20)], abs=1e-6)
    assert found.loc[("mean_50", "majority"), "value"] == 0.25
    assert found.loc[("mean_50", "single draw"), "value"] == pytest.approx((6 * 0.75 + 14 * 0.25) / 20)
    assert found.loc[("static", "undefended"), "value"] == 0.1
    assert found.loc[("worst of 8", "difference"), "value"] == -0.125
    assert found["p_holm"][("transferred", "difference")] < 0.001
    assert found.loc[("corruptions", "undefended"), "value"] == pytest.approx((4 + 8) / 20)
    assert found.loc[("corruptions", "difference"), "value"] == pytest.approx((5 + 6 - 4 - 8) / 20)
    assert list(found.loc[("transferred", "auroc of entropy"), ["value", "low", "high", "n"]]) == [
        0.71,
        0.62,
        0.8,
        12,
    ]
    assert list(found.loc[("known draw", "probability"), ["value", "n"]]) == [0.3125, 4]
    assert found.loc[("", "cost of a verdict"), "value"] == 62.5
    assert found.loc[("", "parameters_after"), "value"] == 188000


def test_the_plateau_is_of_common_images(defend: Defend, entries: Entries) -> None:
    results = defend({"taylor": {"counts": {"clean": (4, 8), "static": (1, 8), "transferred": (2, 8), "fast": (1, 8)}}})
    figure = figure_defended.plateau(entries(results))
    assert figure is not None and len(figure.panels) == 1
    found = [(*row[:3], row[3].split()[0], row[4]) for row in figure.rows]
    # Of the first 8 images 8 stand mean_20 (10 of 40 do), 6 mean_50, 3 mean_100, 7 the plain way.
    assert found == [
        ("rain, adversarial", "mean_20", "20", "100.0", "n = 8"),
        ("rain, adversarial", "mean_50", "50", "75.0", "n = 8"),
        ("rain, adversarial", "mean_100", "100", "37.5", "n = 8"),
        ("rain, adversarial", "plain", "1", "87.5", "n = 8"),
    ]
    assert figure.title == "Standing, from the fewest to the most draws a step: rain, adversarial 100.0 → 37.5 %"


def test_power_is_at_the_radius_of_each_wave() -> None:
    """Of a wave of amplitude a, a^2 / 2; of several, the sum; of rings it adds up to the variance (Parseval)."""
    down, across = np.mgrid[:16, :16]
    waves = 0.5 + 0.2 * np.cos(2 * np.pi * 3 * down / 16) + 0.1 * np.sin(2 * np.pi * 5 * across / 16)
    images = (255 * np.broadcast_to(waves, (2, 3, 16, 16))).round().astype(np.uint8)
    found = figure_spectrum.radial(images)
    assert found.shape == (8,)
    assert found[[2, 4]] == pytest.approx([0.2**2 / 2, 0.1**2 / 2], rel=0.01)
    assert found.sum() == pytest.approx((images / 255).var(), rel=0.01) and found[[0, 1, 3, 5, 6, 7]].max() < 1e-4


def test_what_a_defense_makes_of_images_is_drawn(defend: Defend, entries: Entries, page: Drawn) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8)).astype(np.uint8)
    flat = np.broadcast_to(images.mean((2, 3), keepdims=True).astype(np.uint8), images.shape)
    results = defend({"still": {}}, shown={"image": images, "flattened": flat.copy()})
    figure = figure_spectrum.spectrum(entries(results))
    assert figure is not None and len(figure.panels) == 1
    assert figure.title.endswith("reaches the network: rain, adversarial 0 %")
    assert [row[:2] for row in figure.rows] == [("rain, adversarial", "image"), ("rain, adversarial", "flattened")]
    text = page(results)
    whole_and_sound(whole.Page(text), text)
    assert section(text).count("A row an image: image, flattened; then the same of the attacked image.") == 1
    others = page(replace(results, data={**results.data, "name": "cifar10"}))
    assert "A row an image" not in others and "reaches the network" in others, "no pixel of theirs stands in a report"
    assert "reaches the network" not in page(defend({"still": {}}))


def test_a_sheet_has_a_row_an_image_and_large_ones_thinned_out(defend: Defend, entries: Entries) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 200, 200)).astype(np.uint8)
    (entry,) = entries(defend(shown={"image": images, "inverted": 255 - images}))
    (one,) = sections.of_defenses([entry], "adversarial", pixels=True)["pictures"]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(one.uri.partition(",")[2]))))
    assert sheet.shape == (4 * 102, 4 * 102, 3), "four images; clean, inverted, attacked, inverted; a gap behind each"
    assert (sheet[:100, :100] == images[0, :, ::2, ::2].transpose(1, 2, 0)).all()
    assert (sheet[102:202, 102:202] == 255 - images[1, :, ::2, ::2].transpose(1, 2, 0)).all()
    assert (sheet[100:102] == 255).all()
    many = sections.of_defenses([entry] * 20, "adversarial", pixels=True)["pictures"]
    assert len(one.uri) <= sum(len(each.uri) for each in many) <= sections.BUDGET


def test_the_page_is_as_good_as_without(defend: Defend, page: Drawn) -> None:
    results = defend(
        {
            "bayes": {
                "declares": POSTERIOR,
                "checks": [FAILED, *beside.PASSED[1:]],
            }
        },
        facts={"parameters_before": 310000.0},
        declares=POSTERIOR,
    )
    text = page(results)
    found = whole.Page(text)
    whole_and_sound(found, text)
    shown = section(text)
    assert "not a robustness number" in shown and "95.0 → 90.0" in shown and "40 → 50" in shown
    assert "× 1.25<small>a draw</small>× 62.5<small>50 draws decide</small>" in shown
    assert "parameters before 310,000" in shown and "0.710<small>[0.620, 0.800]" in shown
    assert "with probability 31.2 % [" in shown and "mean over 4 images, each to ± 7.5 points" in shown
    assert "none/adversarial/0/bayes" in text, "the checks of defenses are among the checks"
    assert 'id="check-E17"' in text and "<code>bayes, adversarial</code>" in text
    assert "attack_defended" in text


def test_without_defenses_nothing_is_written_of_them(finished: Path) -> None:
    assert not (finished / "report/defended.csv").exists()
    assert "defense" not in pd.read_csv(finished / "report/checks.csv")
    text = (finished / "report/index.html").read_text()
    assert 'id="defenses"' not in text and 'id="measures"' not in text and "attack_defended" not in text


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    beside.defend(tmp_path, "none/adversarial/0/rain")
    gone = tmp_path / "results_defended/none/adversarial/0/rain/compared.json"
    gone.unlink()
    with pytest.raises(ArtifactError, match=f"{re.escape(str(gone))}: no such file"):
        files.defended(tmp_path, "none", ["adversarial"], [0], ["rain"])


@pytest.mark.parametrize("now", [{"norm": "l2"}, {"headline": 4 / 255}])
def test_results_of_another_threat_than_the_first_are_refused(
    now: dict[str, Any], few: tuple[Results, Analysis], defend: Defend
) -> None:
    """DVC runs nothing again where `threats` only change their order."""
    analysis = replace(few[1], threat=replace(few[1].threat, **now))
    with pytest.raises(ArtifactError, match=r"rain: made under linf 0.0314, .*Run `dvc repro -f attack_defended`"):
        defended.analyze(defend(), analysis)


def test_what_is_written_and_shown_in_a_terminal(tmp_path: Path) -> None:
    synthetic.write(tmp_path, strategies=FEW, trainings=ADVERSARIAL, seeds=(0, 1), count=32, attacked=24)
    for seed in (0, 1):
        beside.defend(tmp_path, f"none/adversarial/{seed}/rain")
        beside.defend(tmp_path, f"none/adversarial/{seed}/odd", checks=[FAILED])
    grid = {"strategies": FEW, "trainings": ADVERSARIAL, "seeds": (0, 1), "defenses": ("rain", "odd")}
    report = tmp_path / "report"
    write(read(tmp_path, **grid), report, tmp_path / "metrics", LINEAGE)
    content = json.loads((tmp_path / "metrics/summary.json").read_text())
    assert set(content) == {*FEW, "defended"}
    rain = {"clean": 0.9, "gain": -0.125, "n": 8, "robust": 0.375, "transferred": 0.6, "verdict": "reportable"}
    assert content["defended"]["rain"] == {"adversarial/0": rain, "adversarial/1": rain}
    checks = pd.read_csv(report / "checks.csv")
    own = checks[checks["defense"] == "rain"]
    assert (own["strategy"] == "none").all() and list(own["id"]) == ["E2", "E16", "E33"] * 2
    assert "| adversarial/1 | rain | 90.0±13.7 | 60.0±16.7 | 37.5±38.0 | 50.0±34.3 | -12.5±" in terminal.markdown(
        report
    )
    console = Console(width=terminal.WIDTH, record=True, file=(tmp_path / "shown").open("w"))
    terminal.show(report, console)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= terminal.WIDTH
    odd = next(line for line in lines if line.strip().startswith("odd"))
    assert odd.split() == ["odd", "90.0±13.7", "–", "–", "–", "–", "–", "invalid"]
    assert any("not a robustness number" in line for line in lines)
    before = {path: path.read_bytes() for path in report.iterdir()}
    write(read(tmp_path, **grid), report, tmp_path / "metrics", LINEAGE)
    assert before == {path: path.read_bytes() for path in report.iterdir()}


def test_hostile_names_of_defenses_stay_text(defend: Defend, page: Drawn) -> None:
    results = defend(facts={"<script>": 1.0})
    odd = replace(results.defended[0], defense="<script>alert(1)</script>")
    text = page(replace(results, defended=[odd]))
    whole.test_it_runs_nothing(whole.Page(text))
    assert "&lt;script&gt;alert(1)" in text
