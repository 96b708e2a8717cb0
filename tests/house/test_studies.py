"""What params.yaml of every study must be, and what stands beside it."""

import json
import re
from pathlib import Path

import pytest
import yaml

from pixelprune import study
from pixelprune.commands import check, deps, reference, schema
from pixelprune.errors import ParamsError

ROOT = Path(__file__).parents[2]
STUDIES = [ROOT, *(path.parent for path in deps.studies(ROOT))]


@pytest.fixture(params=STUDIES, ids=lambda folder: folder.name if folder != ROOT else "default")
def folder(request, monkeypatch):
    monkeypatch.chdir(request.param)
    return request.param


def test_the_study_is_valid_and_small_enough_for_dvc(folder):
    assert study.load().runs
    values = yaml.safe_load(Path("params.yaml").read_text())
    assert 0 < check.stage_count(Path("dvc.yaml"), values) <= 120


def test_root_and_schema_are_found_from_the_folder(folder):
    first, *_ = Path("params.yaml").read_text().splitlines()
    prefix = "# yaml-language-server: $schema="
    assert first.startswith(prefix)
    assert (folder / first.removeprefix(prefix)).resolve() == ROOT / schema.NAME
    assert (folder / study.load().root).resolve() == ROOT


def test_the_pipeline_is_the_same_in_every_study(folder):
    assert Path("dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()


def test_the_schema_is_current():
    assert (ROOT / schema.NAME).read_text() == schema.text(), "python -m pixelprune schema"
    assert (ROOT / reference.NAME).read_text() == reference.text(), "python -m pixelprune schema"


def test_every_section_of_params_has_its_page_of_options():
    titles = set(re.findall(r"^## (\w+)$", reference.text(), re.MULTILINE))
    # The first is a path, the others are told of with trainings and by example.
    assert set(json.loads(schema.text())["properties"]) - {"root", "silhouette", "seeds"} <= titles


def test_check_says_what_the_study_is(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert check.main([]) == 0
    assert capsys.readouterr().out == "params.yaml: 7 strategies x 2 trainings x 1 seed = 14 runs, 46 stages\n"


def edited(tmp_path, monkeypatch, **sections):
    values = yaml.safe_load((ROOT / "params.yaml").read_text()) | sections
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.chdir(tmp_path)


def test_check_says_that_a_pipeline_is_an_old_copy(tmp_path, monkeypatch, capsys):
    edited(tmp_path, monkeypatch, root=str(ROOT))
    pipeline = (ROOT / "dvc.yaml").read_text()
    (tmp_path / "dvc.yaml").write_text(pipeline)
    assert check.main([]) == 0
    assert capsys.readouterr().err == ""
    (tmp_path / "dvc.yaml").write_text(pipeline.replace("      - ${root}/src/pixelprune/stage.py\n", "", 1))
    assert check.main([]) == 0
    assert capsys.readouterr().err.startswith("dvc.yaml: differs from ")


def test_check_crosses_the_sections(tmp_path, monkeypatch):
    edited(tmp_path, monkeypatch, strategies={"half": {"map": "pcca", "keep": 0.5, "fill": "black"}})
    with pytest.raises(ParamsError) as error:
        check.main([])
    text = str(error.value)
    assert "strategies.none" in text
    assert "strategies.half.map: no map 'pcca' among maps; did you mean 'pca'?" in text


def test_stages_are_counted_as_dvc_unfolds_them(tmp_path):
    path = tmp_path / "dvc.yaml"
    path.write_text(
        "stages:\n  a: {cmd: x}\n  b: {foreach: '${maps}', do: {cmd: x}}\n  c: {foreach: [1, 2], do: {cmd: x}}\n"
        "  d: {matrix: {m: '${maps}', s: '${deep.seeds}'}, cmd: x}\n"
    )
    assert check.stage_count(path, {"maps": {"p": 1, "q": 2}, "deep": {"seeds": [0, 1, 2]}}) == 1 + 2 + 2 + 6
    assert check.stage_count(tmp_path / "none.yaml", {}) == 0
