"""What is kept in git and what the terminal shows."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from pixelprune.commands import check
from pixelprune.commands import results as command
from pixelprune.errors import ArtifactError, ParamsError
from pixelprune.reporting import terminal
from pixelprune.reporting.analysis import analyze
from pixelprune.reporting.collect import ThreatEntry
from pixelprune.reporting.summary import summary
from pixelprune.reporting.write import write
from reporting import synthetic
from reporting.conftest import Study, read, with_second_threat


def test_summary_has_short_keys_and_four_digits(finished: Path) -> None:
    content = json.loads((finished / "metrics/summary.json").read_text())
    assert set(content) == set(synthetic.STRATEGIES)
    full = content["none"]["natural"]
    assert set(full) == {"clean", "robust", "adaptive", "verdict"}
    assert full["adaptive"] == full["robust"], "without a mask the attacker writes everywhere anyway"
    own = content["foreground"]["adversarial"]
    assert set(own) == {"clean", "robust", "budget", "location", "feature", "adaptive", "verdict"}
    assert all(value == round(value, 4) for value in own.values() if isinstance(value, float))
    gain = own["robust"] - content["none"]["adversarial"]["robust"]
    assert own["budget"] + own["location"] + own["feature"] == pytest.approx(gain, abs=2e-4)
    longest = max(len(f"{s}.{t}.{key}") for s, ts in content.items() for t, keys in ts.items() for key in keys)
    assert len("metrics/summary.json") + longest + 3 * len("upper bound") + 8 <= 100


def test_summary_leaves_out_what_may_not_be_printed(study: Study) -> None:
    results = study(failed={"E2": "F"}, count=32, attacked=24)
    content = summary([analyze(results, results.threats["linf"])])
    assert content["foreground"]["adversarial"] == {
        "clean": content["foreground"]["adversarial"]["clean"],
        "verdict": "invalid",
    }


def test_tables_agree_with_rows(finished: Path) -> None:
    accuracy = pd.read_csv(finished / "report/accuracy.csv")
    assert len(accuracy) == 7 * 2 * 3
    own = accuracy[
        (accuracy["strategy"] == "foreground") & (accuracy["training"] == "adversarial") & accuracy["headline"]
    ]
    rows = pd.read_parquet(finished / "results/foreground/adversarial/0/rows.parquet")
    kept = rows[(rows["access"] == "kept") & (rows["threat"] == "linf")]
    stands = (kept["adv_pred"] == kept["label"]).groupby(kept["image"]).all().mean()
    assert own["robust"].item() == pytest.approx(stands, abs=1e-6)
    moved = rows[(rows["access"] == "adaptive") & (rows["threat"] == "linf")]
    stands = (moved["adv_pred"] == moved["label"]).groupby(moved["image"]).all()
    assert own["adaptive"].item() == pytest.approx(stands.mean(), abs=1e-6)
    assert own["adaptive_images"].item() == len(stands) == synthetic.ADAPTIVE
    assert (accuracy["robust_low"] <= accuracy["robust"]).all()
    assert (accuracy["robust"] <= accuracy["robust_high"]).all()
    assert len(pd.read_csv(finished / "report/corruptions.csv")) == 7 * 2 * 8 * 5
    assert set(pd.read_csv(finished / "report/checks.csv")["verdict"]) == {"pass", "not applicable"}
    curves = pd.read_csv(finished / "metrics/curves.csv")
    assert list(curves) == [
        "strategy", "training", "seed", "epoch", "train_loss", "validation_clean", "validation_robust"
    ]  # fmt: skip


def test_only_named_runs_are_read(finished: Path) -> None:
    results = read(finished, strategies={key: synthetic.STRATEGIES[key] for key in ("none", "random")})
    assert {run.strategy for run in results} == {"none", "random"}
    with pytest.raises(ParamsError, match="strategies has no `none`"):
        read(finished, strategies={"random": synthetic.STRATEGIES["random"]})
    with pytest.raises(ArtifactError, match=r"results/none/natural/7/card\.json: no such file"):
        read(finished, seeds=(7,))


@pytest.mark.parametrize("eps", [["4/255", "8/255"], [4 / 255, 8 / 255]])
@pytest.mark.parametrize("rest", [{}, {"headline": None}, {"norm": "linf"}])
def test_threats_are_read_as_the_attacks_read_them(finished: Path, eps: list[object], rest: dict[str, object]) -> None:
    few = {"strategies": {"none": synthetic.STRATEGIES["none"]}}
    entry = read(finished, threats={"linf": {"eps": eps} | rest}, **few).threats["linf"]
    assert entry == ThreatEntry("linf", "linf", (4 / 255, 8 / 255), 8 / 255)
    one = read(finished, threats={"linf": {"eps": eps[1]} | rest}, **few).threats["linf"]
    assert one == ThreatEntry("linf", "linf", (8 / 255,), 8 / 255)


def test_a_threat_that_is_none_is_named(finished: Path) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml: 1 to fix\n  threats\.linf\.eps"):
        read(finished, threats={"linf": {"eps": []}})


def test_a_study_without_corruptions(study: Study, tmp_path: Path) -> None:
    results = study(count=32, attacked=24)
    runs = {key: replace(run, corruptions=run.corruptions.head(0)) for key, run in results.runs.items()}
    bare = replace(results, runs=runs)
    assert analyze(bare, bare.threats["linf"]).full.corrupted is None
    write(bare, tmp_path / "report", tmp_path / "metrics", {})
    assert 'id="corruptions"' not in (tmp_path / "report/index.html").read_text()


def test_terminal_fits_100_columns(finished: Path) -> None:
    out = io.StringIO()
    terminal.show(finished / "report", Console(file=out, width=terminal.WIDTH, color_system=None))
    lines = out.getvalue().splitlines()
    assert max(len(line.rstrip()) for line in lines[:-1]) <= 100
    assert lines[-1].endswith("report/index.html")
    assert "…" not in out.getvalue()
    assert all(any(name in line for line in lines) for name in synthetic.STRATEGIES)


def test_command(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished)
    assert command.main([]) == 0
    assert capsys.readouterr().out.endswith("report/index.html\n")
    assert command.main(["x"]) == 2
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError, match="there is no report yet"):
        command.main([])


def test_no_difference_to_an_invalid_result(study: Study) -> None:
    results = study(count=32, attacked=24)
    full = results.runs["none", "adversarial", 0]
    failed = [dict(check) | ({"verdict": "fail"} if check["id"] == "E2" else {}) for check in full.checks]
    broken = replace(results, runs=dict(results.runs) | {("none", "adversarial", 0): replace(full, checks=failed)})
    analysis = analyze(broken, broken.threats["linf"])
    assert analysis.full.judged.word == "invalid"
    assert analysis.entries["foreground", "adversarial"].against_none is None
    assert analysis.entries["foreground", "adversarial"].against_control is not None
    assert "budget" not in summary([analysis])["foreground"]["adversarial"]


def test_two_threats_are_told_apart(study: Study, tmp_path: Path) -> None:
    results = with_second_threat(study(count=32, attacked=24))
    write(results, tmp_path / "report", tmp_path / "metrics", {})
    out = io.StringIO()
    terminal.show(tmp_path / "report", Console(file=out, width=terminal.WIDTH, color_system=None))
    for text in (out.getvalue(), terminal.markdown(tmp_path / "report")):
        headings = [line for line in text.splitlines() if line.startswith("threat ")]
        assert headings[0].startswith("threat linf: linf 8/255, worst of noise, fgsm, pgd; n = 32 clean, 24 attacked")
        assert headings[1].startswith("threat small: linf 4/255, worst of noise, fgsm, pgd; n = 32 clean, 24 attacked")
        assert text.index(headings[0]) < text.index("foreground") < text.index(headings[1])


def test_a_threat_that_the_checks_did_not_ask_under_gives_upper_bounds(study: Study) -> None:
    results = with_second_threat(study(count=32, attacked=24))
    first, second = (analyze(results, threat).entries for threat in results.threats.values())
    fine = [key for key, entry in first.items() if entry.judged.word == "reportable"]
    assert fine and not any("alone" in reason for entry in first.values() for reason in entry.judged.reasons)
    for key in fine:
        reasons = ("the checks that ask the model did so under threat linf alone",)
        assert (second[key].judged.word, second[key].judged.reasons) == ("upper bound", reasons)


def test_the_tests_under_all_threats_are_one_family(study: Study) -> None:
    results = study(count=48, attacked=40)
    alone = analyze(results, results.threats["linf"])
    two = with_second_threat(results)
    first, second = (analyze(two, threat) for threat in two.threats.values())
    assert first.family == second.family == 2 * alone.family
    for key, entry in alone.entries.items():
        if entry.against_none is not None:
            compared = first.entries[key].against_none
            assert compared is not None
            assert (compared.p, compared.difference) == (entry.against_none.p, entry.against_none.difference)
            assert compared.adjusted >= entry.against_none.adjusted
    everything = [
        compared
        for analysis in (first, second)
        for entry in analysis.entries.values()
        for compared in (entry.against_none, entry.against_control)
        if compared is not None
    ]
    least = min(everything, key=lambda compared: compared.p)
    assert least.adjusted == pytest.approx(min(1, first.family * least.p))


@pytest.mark.parametrize(("failed", "status"), [({}, 0), ({"E1": "W"}, 0), ({"E1": "F"}, 1)])
def test_the_report_is_judged_by_its_fatal_checks(
    study: Study,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failed: dict[str, str],
    status: int,
) -> None:
    write(study(failed=failed, count=32, attacked=24), tmp_path / "report", tmp_path / "metrics", {})
    monkeypatch.chdir(tmp_path)
    assert check.main(["--report"]) == status
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("failed: ")]
    assert len(lines) == 3 * status
    line = "failed: E1 foreground/adversarial/0: check E1: found 0 images, expected 0 images"
    assert (line in lines) is bool(status)


def test_a_table_without_runs_is_no_table_of_checks(tmp_path: Path) -> None:
    path = tmp_path / "checks.csv"
    path.write_text("id,title,found,threshold,severity,verdict\nE1,t,1,2,F,fail\n")
    with pytest.raises(ArtifactError, match="not a table of checks"):
        check.report(path)
