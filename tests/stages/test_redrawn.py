"""A strategy that draws its mask anew, through the stages: declared, attacked on average, and judged so."""

import shutil
from pathlib import Path

import pytest
import tiny_study

from pixelprune import artifacts, loading
from pixelprune.datasets import split

ADDED = """\
  redrawn: {name: redrawn, reads: data/raw}
strategies:
  redrawn: {map: redrawn, keep: 0.5, fill: mean}
"""
RUN = ("redrawn", "natural", "0")


@pytest.fixture(scope="module")
def once(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = tiny_study.copied(finished, tmp_path_factory.mktemp("redrawn") / "study")
    tiny_study.edit(study, "strategies:\n", ADDED)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(study)
        for stage in [("importance", "redrawn"), ("prune", "redrawn"), ("train", *RUN), ("attack", *RUN)]:
            tiny_study.call(*stage)
    return study


@pytest.fixture
def attacked(once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the study, its state included, as the current folder."""
    study = Path(shutil.copytree(once, tmp_path / "study"))
    monkeypatch.chdir(study)
    return study


def test_it_is_attacked_and_judged_on_average_and_the_table_says_so(attacked: Path) -> None:
    folder = attacked / "results" / Path(*RUN)
    table = artifacts.load_table(folder / "rows.parquet")
    adaptive = table[table["access"] == "adaptive"]
    assert set(adaptive["attack"]) == {
        "mean_ce", "mean_dlr", "square", "rays", "transferred", "replayed_kept", "replayed_location",
    }  # fmt: skip
    assert (adaptive[adaptive["attack"] == "mean_ce"]["forward"] % 20 == 0).all()
    found = {check["id"]: check for check in artifacts.load_json(folder / "checks.json")}
    assert found["E15"]["verdict"] == "pass" and found["E15"]["found"].startswith("declared")
    assert found["E16"]["verdict"] in ("pass", "fail")
    assert found["E17"]["verdict"] == "not applicable"
    tiny_study.call("transfer")
    tiny_study.call("measure", *RUN, "surface")
    tiny_study.call("report")
    entry = artifacts.load_json(attacked / "metrics/summary.json")
    shares = adaptive["adv_pred"].eq(adaptive["label"]).groupby(adaptive["image"]).all()
    assert entry["redrawn"]["natural"]["adaptive"] == pytest.approx(shares.mean(), abs=1e-3)


def test_an_attack_that_goes_on_after_a_kill_ends_as_one_that_was_not_killed(attacked: Path) -> None:
    folder = attacked / "results" / Path(*RUN)
    before = tiny_study.outputs(folder)
    states = sorted(attacked.glob(".pixelprune/state/*/*.safetensors"), key=lambda path: path.stat().st_mtime_ns)
    shutil.rmtree(folder)
    states[-2].unlink()  # what the last parts found is lost, the draws of the others are not made again
    states[-1].unlink()
    tiny_study.call("attack", *RUN)
    assert tiny_study.outputs(folder) == before


def test_a_loaded_model_draws_anew_unless_ids_say_which_draw(attacked: Path) -> None:
    model = loading.load_model("/".join(RUN), attacked)
    test = split.load(attacked / "data/raw", "test")
    images = loading.torch.from_numpy(test.images[:4].copy()).permute(0, 3, 1, 2).float() / 255
    first, second = model.mask(images), model.mask(images)  # type: ignore[operator]
    assert not first.equal(second)
    assert loading.load_model("/".join(RUN), attacked).mask(images).equal(first)  # type: ignore[operator]
    again = [model.mask(images, test.ids[:4]) for _ in range(2)]  # type: ignore[operator]
    assert again[0].equal(again[1])
