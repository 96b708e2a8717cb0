"""All stages as processes on a tiny study: they end well, write what they say, and write the same bytes again."""

import ast
import re
from itertools import product
from pathlib import Path

import numpy as np
import pandas
import pytest
import tiny_study

from pixelprune import artifacts, cli
from pixelprune.evaluation import rows

RUNS = ["none/natural/0", "foreground/natural/0"]


def promised(stage: tuple[str, ...]) -> list[str]:
    """The paths behind `writes` in the stage's docstring, the words of the command line put in."""
    docstring = ast.get_docstring(ast.parse((tiny_study.ROOT / "stages" / f"{stage[0]}.py").read_bytes()))
    assert docstring is not None
    usage = re.search(rf"python stages/{stage[0]}\.py(.*)", docstring)
    block = re.search(r"^  writes(.*?)(?=^  \w|\Z)", docstring, re.MULTILINE | re.DOTALL)
    assert usage is not None and block is not None
    words = dict(zip(usage[1].split(), stage[1:], strict=True))
    paths = []
    for line in block[1].splitlines():
        for path in re.split(r"\s{2,}", line.strip())[0].split(", "):
            parts = [words.get(part, part) for part in path.split("/")]
            choices = [re.sub(r"[{}]", "", part).split(",") if "{" in part else [part] for part in parts]
            braced = re.fullmatch(r"(.*)\{(.*)\}(.*)", parts[-1])
            if braced:
                choices[-1] = [braced[1] + word + braced[3] for word in braced[2].split(",")]
            paths += ["/".join(choice) for choice in product(*choices)]
    return paths


@pytest.mark.parametrize("stage", tiny_study.STAGES, ids="-".join)
def test_a_stage_writes_what_it_says_it_writes(finished: Path, stage: tuple[str, ...]) -> None:
    paths = promised(stage)
    assert paths
    for path in paths:
        assert list(finished.glob(path.rstrip("/"))), path


@pytest.mark.parametrize("stage", tiny_study.STAGES, ids="-".join)
def test_a_stage_ends_with_one_line_about_itself(finished: Path, said, stage: tuple[str, ...]) -> None:
    status, out, error = said[stage]
    assert (status, tiny_study.complaints(error)) == (0, [])
    assert out.endswith("\n")
    *before, last = out.splitlines()
    assert last.startswith(" ".join(stage) + ": ")
    assert all(line.startswith("  ") for line in before)


def test_the_report_says_which_folders_it_removes(study: Path) -> None:
    (study / "models/mine/0").mkdir(parents=True)
    status, out, error = tiny_study.run(study, "report")
    assert (status, tiny_study.complaints(error)) == (0, [])
    assert out.splitlines()[0] == "  removed, as params.yaml does not name them: models/mine"
    assert not (study / "models/mine").exists()


def test_nothing_is_left_that_has_a_temporary_name(finished: Path) -> None:
    hidden = [path for path in finished.rglob(".*") if path != finished / ".pixelprune"]
    assert hidden == []


def test_times_are_kept_outside_of_the_results(finished: Path) -> None:
    stages = ("@".join([stage, "-".join(keys)]).rstrip("@") for stage, *keys in tiny_study.STAGES)
    assert sorted(cli.times(finished)) == sorted(stages)


@pytest.mark.parametrize("run", RUNS)
def test_the_results_of_a_run_fit_together(finished: Path, run: str) -> None:
    folder = finished / "results" / run
    clean, table = (artifacts.load_table(folder / f"{name}.parquet") for name in ("clean", "rows"))
    rows.checked(table, folder)
    ids = np.load(finished / "data/raw/test/ids.npy")
    assert clean["image"].tolist() == ids.tolist()
    assert table["image"].nunique() == 16
    own = table[table["access"] == ("full" if run.startswith("none") else "kept")].merge(clean, on="image")
    assert (own["clean_pred"] == own["pred"]).all()
    np.testing.assert_allclose(own["clean_margin"], own["margin"], atol=1e-4)
    card = artifacts.load_json(folder / "card.json")
    assert card["passes"] == {kind: int(table[kind].sum()) for kind in ("forward", "backward")}
    verdicts = {check["id"]: check["verdict"] for check in artifacts.load_json(folder / "checks.json")}
    assert len(verdicts) == 25
    fatal = [check for check in artifacts.load_json(folder / "checks.json") if check["severity"] == "F"]
    assert [check["id"] for check in fatal if check["verdict"] == "fail"] == []


def test_all_runs_are_attacked_on_the_same_images(finished: Path) -> None:
    tables = [pandas.read_parquet(finished / "results" / run / "rows.parquet") for run in RUNS]
    assert sorted(tables[0]["image"].unique()) == sorted(tables[1]["image"].unique())


def test_the_same_study_gives_the_same_bytes(finished: Path, tmp_path: Path, monkeypatch) -> None:
    """The second time inside this process, which has other modules loaded and other draws behind it."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(tiny_study.PARAMS, encoding="utf-8")
    for stage in tiny_study.STAGES:
        tiny_study.call(*stage)
    again, first = tiny_study.outputs(tmp_path), tiny_study.outputs(finished)
    assert sorted(again) == sorted(first)
    assert [name for name in first if again[name] != first[name]] == []


@pytest.mark.parametrize(
    ("stage", "words"),
    [("download", ["x"]), ("segment", []), ("importance", []), ("prune", []), ("report", ["x"]), ("train", ["none"]),
     ("attack", ["none", "natural"])],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_wrong_words_are_answered_with_the_usage(tmp_path: Path, monkeypatch, capsys, stage, words) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ending:
        tiny_study.call(stage, *words)
    assert ending.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"{stage}: ") and f"python stages/{stage}.py" in said.err
    assert not list(tmp_path.iterdir())


def test_a_stage_without_its_words_ends_with_2_as_a_process(tmp_path: Path) -> None:
    status, out, error = tiny_study.run(tmp_path, "segment")
    assert (status, out) == (2, "")
    assert "python stages/segment.py SEGMENTER" in error
