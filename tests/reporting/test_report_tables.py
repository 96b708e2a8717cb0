"""What is kept in git and what the terminal shows."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from pixelprune.commands import results as command
from pixelprune.errors import ArtifactError, ParamsError
from pixelprune.reporting import terminal
from pixelprune.reporting.analysis import analyze
from pixelprune.reporting.summary import summary
from pixelprune.reporting.write import write
from reporting import synthetic
from reporting.conftest import Study, read


def test_summary_has_short_keys_and_four_digits(finished: Path) -> None:
    content = json.loads((finished / "metrics/summary.json").read_text())
    assert set(content) == set(synthetic.STRATEGIES)
    assert set(content["none"]["natural"]) == {"clean", "robust", "verdict"}
    own = content["foreground"]["adversarial"]
    assert set(own) == {"clean", "robust", "budget", "location", "feature", "verdict"}
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
