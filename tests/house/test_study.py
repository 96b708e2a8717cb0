"""What no entry of params.yaml can know by itself: whole messages of the cross checks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pixelprune import study
from pixelprune.errors import ParamsError

ROOT = Path(__file__).parents[2]

SEGMENTS = "expected a segmenter's output: data/segments/grabcut"


@pytest.fixture
def mistakes(tmp_path: Path, monkeypatch) -> Callable[..., list[str]]:
    """The lines of the message for the default study with some entries changed; of sections, or of their entries."""

    def lines(**changes: dict[str, Any] | list[int]) -> list[str]:
        values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        values["evaluation"].pop("autoattack")  # it names strategies, which most of these tests take away
        for section, change in changes.items():
            if isinstance(change, dict) and section in values:
                for key, entry in change.items():
                    values[section].pop(key, None) if entry is None else values[section].update({key: entry})
            else:
                values[section] = change
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        try:
            study.load()
        except ParamsError as error:
            first, *rest = str(error).splitlines()
            assert first == f"params.yaml: {len(rest)} to fix"
            assert all(line.startswith("  ") for line in rest)
            return [line[2:] for line in rest]
        return []

    return lines


def test_the_default_study_has_none(mistakes) -> None:
    assert mistakes() == []


def test_a_section_that_needs_an_entry_is_no_list(mistakes) -> None:
    emptied = dict.fromkeys(("noise", "fgsm", "pgd", "fast"))
    assert mistakes(ladder=emptied) == ["ladder: expected 1 or more entries, found {}"]


def test_autoattack_is_asked_for_in_runs_that_there_are(mistakes) -> None:
    assert mistakes(evaluation={"autoattack": ["none/adversarial", "none/natural", "foreground/advers"]}) == [
        "evaluation.autoattack: found 'foreground/advers', expected a run of the study: STRATEGY/TRAINING"
    ]


def test_defenses_need_the_section_that_says_how_hard_they_are_attacked(mistakes) -> None:
    rain = {"rain": {"name": "rain"}}
    assert mistakes(defenses=rain) == [
        "defended: needed where there are defenses, as DVC reads it; {} takes the defaults"
    ]
    assert mistakes(defenses=rain, defended={}) == []


def test_an_ensemble_cannot_be_trained_as_weights_that_were_given(mistakes) -> None:
    given = {"name": "pretrained", "weights": "x.npz", "sha256": "0" * 64, "architecture": {"name": "resnet20"}}
    found = mistakes(defenses={"many": {"name": "ensemble"}}, defended={}, trainings={"given": given})
    assert found == ["defenses.many: trained anew, as the weights of trainings.given cannot be"]


def test_runs_are_strategies_times_trainings_times_seeds(mistakes) -> None:
    assert mistakes(seeds=[3, 0]) == []
    found = study.load()
    assert len(found.runs) == len(found.strategies) * len(found.trainings) * 2
    assert found.runs[:3] == [("none", "natural", 3), ("none", "natural", 0), ("none", "adversarial", 3)]


FULL = "strategies.none: needed, with keep: 1; it is the model that the others are compared with"


@pytest.mark.parametrize("entry", [None, {"map": "constant", "keep": 0.5}, {"map": "foreground", "keep": "own"}])
def test_the_full_model_must_be_there(mistakes, entry) -> None:
    run = "maps.smoothgrad.reads: found 'models/none/natural/0', expected a run: models/STRATEGY/TRAINING/SEED"
    assert mistakes(strategies={"none": entry}) == [FULL, *([] if entry else [run])]


@pytest.mark.parametrize("keep", [1, 1.0])
def test_the_full_model_may_be_written_either_way(mistakes, keep) -> None:
    assert mistakes(strategies={"none": {"map": "constant", "keep": keep}}) == []


def test_a_strategy_names_a_map(mistakes) -> None:
    assert mistakes(strategies={"half": {"map": "smoothgrd", "keep": 0.5}, "odd": {"map": "xyz", "keep": 0.5}}) == [
        "strategies.half.map: no map 'smoothgrd' among maps; did you mean 'smoothgrad'?",
        "strategies.odd.map: no map 'xyz' among maps",
    ]


def test_own_needs_a_region(mistakes) -> None:
    assert mistakes(strategies={"pca": {"map": "pca", "keep": "own"}}) == [
        "strategies.pca.keep: map 'pca' (pca) has no region of its own"
    ]


def test_a_map_reads_what_it_can_use(mistakes) -> None:
    assert mistakes(
        maps={
            "foreground": {"name": "foreground", "reads": "data/segments/grabcutt"},
            "smoothgrad": {"name": "smoothgrad", "reads": "models/none/natural/1"},
        }
    ) == [
        f"maps.foreground.reads: found 'data/segments/grabcutt', {SEGMENTS}",
        "maps.smoothgrad.reads: found 'models/none/natural/1', expected a run: models/STRATEGY/TRAINING/SEED",
    ]


def test_a_map_of_another_kind_of_path_is_told_by_its_own_field(mistakes) -> None:
    assert mistakes(maps={"pca": {"name": "pca", "reads": "data/segments/grabcut"}}) == [
        "maps.pca.reads: string should match pattern '^data/raw$', found 'data/segments/grabcut'"
    ]


NO_SEGMENTER = "segmenters: found none, expected at least one, whose folder the report reads; grabcut will do"


def test_without_segmenters_the_message_says_so(mistakes) -> None:
    lines = mistakes(segmenters={"grabcut": None})
    assert lines == [
        f"maps.{key}.reads: found 'data/segments/grabcut', expected a segmenter's output: none: segmenters is empty"
        for key in ("foreground", "background", "shifted")
    ] + [NO_SEGMENTER]


def test_a_study_without_foreground_needs_a_segmenter_too(mistakes) -> None:
    """DVC would stop at the report: it depends on data/segments, which nothing would make."""
    own = ("foreground", "background", "shifted")
    unused = dict.fromkeys(own)
    assert mistakes(segmenters={"grabcut": None}, maps=unused, strategies=unused) == [NO_SEGMENTER]


def test_each_seed_once(mistakes) -> None:
    assert mistakes(seeds=[0, 1, 0]) == ["seeds: must hold each value once, found [0, 1, 0]"]


def test_a_changed_seed_leaves_a_map_without_its_run(mistakes) -> None:
    assert mistakes(seeds=[1]) == [
        "maps.smoothgrad.reads: found 'models/none/natural/0', expected a run: models/STRATEGY/TRAINING/SEED"
    ]


def test_all_of_them_at_once(mistakes) -> None:
    lines = mistakes(
        strategies={"none": None, "pca": {"map": "pcaa", "keep": 0.5}}, threats={"unbounded": {"eps": "8/255"}}
    )
    assert [line.partition(": ")[0] for line in lines] == [
        "strategies.none", "strategies.pca.map", "maps.smoothgrad.reads", "threats.unbounded"
    ]  # fmt: skip


def test_entries_come_first_and_the_cross_checks_after(mistakes) -> None:
    """What does not fit its own schema is not compared with the rest."""
    assert mistakes(strategies={"none": None, "pca": {"map": "pcaa", "keep": 2}}) == [
        'strategies.pca.keep: must be a share in (0, 1], or "own" for the region of the map itself, found 2'
    ]


def test_a_map_cannot_read_a_network_that_it_is_needed_for(mistakes) -> None:
    maps = {"smoothgrad": {"name": "smoothgrad", "reads": "models/smoothgrad/natural/0"}}
    assert mistakes(maps=maps) == [
        "maps.smoothgrad.reads: 'models/smoothgrad/natural/0' is trained with this very map; read a run of none"
    ]
