"""The user's mistakes in params.yaml, as each stage and the command `check` answer them."""

import subprocess
import sys
from pathlib import Path

import pytest
import tiny_study

PARAMS = [
    ("natural: {name: natural, epochs: 6", "natural: {name: natural, epocs: 6", ("train", "none", "natural", "0"),
     "1 to fix\n  trainings.natural.epocs: no such key; did you mean 'epochs'?"),
    ("  natural: {", "  nat-ural: {", ("train", "none", "natural", "0"),
     "no trainings.natural; trainings has: nat-ural; did you mean 'nat-ural'?"),
    ("eps: [2/255", "eps: [-2/255", ("attack", "none", "natural", "0"),
     "1 to fix\n  threats.linf.eps.0: input should be greater than 0, found '-2/255'"),
    ("keep: 1,", "keep: 0,", ("prune", "none"),
     '1 to fix\n  strategies.none.keep: must be a share in (0, 1], or "own" for the region of the map itself, found 0'),
    ("keep: 1,", "keep: 1.01,", ("prune", "none"),
     '1 to fix\n  strategies.none.keep: must be a share in (0, 1], or "own" for the region of the map itself, '
     "found 1.01"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "stage", "message"), PARAMS, ids=["typo", "dash", "eps below 0", "keep 0", "keep 1.01"]
)
def test_a_stage_refuses_params_with_one_message(
    finished, tmp_path, monkeypatch, capsys, old, new, stage, message
) -> None:
    """In a folder that holds nothing else: params.yaml is read before anything is."""
    (tmp_path / "params.yaml").write_text(tiny_study.PARAMS, encoding="utf-8")
    if stage[0] == "attack":  # reads its networks first
        for name in ("models", "data"):
            (tmp_path / name).symlink_to(finished / name)
    tiny_study.edit(tmp_path, old, new)
    before = tiny_study.outputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ending:
        tiny_study.call(*stage)
    said = capsys.readouterr()
    assert (ending.value.code, said.out, said.err) == (2, "", f"error: params.yaml: {message}\n")
    assert tiny_study.outputs(tmp_path) == before
    assert not (tmp_path / ".pixelprune").exists()


def check(folder: Path) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "pixelprune", "check"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)
    return done.returncode, done.stdout, done.stderr


def test_check_lists_all_mistakes_of_the_entries_at_once(tmp_path) -> None:
    (tmp_path / "params.yaml").write_text(tiny_study.PARAMS, encoding="utf-8")
    for old, new in [
        ("natural: {name: natural, epochs: 6", "nat-ural: {name: natural, epochs: 6"),
        ("keep: own, fill: mean", "kep: own, fill: meen"),
        ("eps: [2/255", "eps: [-2/255"),
        ("seeds: [0]", "seeds: [1, 1, 2]"),
    ]:
        tiny_study.edit(tmp_path, old, new)
    status, out, error = check(tmp_path)
    assert (status, out) == (2, "")
    first, *mistakes = error.splitlines()
    assert first == f"error: params.yaml: {len(mistakes)} to fix"
    places = [line.strip().partition(": ")[0] for line in mistakes]
    assert places == [
        "strategies.foreground.keep", "strategies.foreground.fill.name", "strategies.foreground.kep",
        "trainings.nat-ural", "seeds", "threats.linf.eps.0",
    ]  # fmt: skip
    assert "  seeds: must hold each value once, found [1, 1, 2]" in mistakes
    assert "  strategies.foreground.kep: no such key; did you mean 'keep'?" in mistakes
    assert (
        "  trainings.nat-ural: a key holds letters, digits and _ only, and begins with a letter; 'nat_ural' would do"
        in mistakes
    )


def test_check_lists_all_that_does_not_fit_together(tmp_path) -> None:
    (tmp_path / "params.yaml").write_text(tiny_study.PARAMS, encoding="utf-8")
    for old, new in [
        ("map: foreground, keep: own", "map: foregroun, keep: own"), ("  linf: {norm", "  unbounded: {norm"),
        ("reads: data/segments/outline", "reads: data/segments/grabcut"),
        ("  pgd: {name: pgd, steps: 3}", "  pgd: {name: pgd, steps: 3}\n  again: {steps: 3, name: pgd}"),
    ]:  # fmt: skip
        tiny_study.edit(tmp_path, old, new)
    assert check(tmp_path) == (2, "", (
        "error: params.yaml: 4 to fix\n"
        "  strategies.foreground.map: no map 'foregroun' among maps; did you mean 'foreground'?\n"
        "  maps.foreground.reads: found 'data/segments/grabcut', expected a segmenter's output: data/segments/outline\n"
        "  ladder.again: the same as ladder.pgd, and would find the same points; leave one out, or set restarts\n"
        "  threats.unbounded: tables use this name for rows of their own; choose another\n"
    ))  # fmt: skip


def test_check_says_what_a_good_study_is(tmp_path) -> None:
    (tmp_path / "params.yaml").write_text(tiny_study.PARAMS, encoding="utf-8")
    assert check(tmp_path) == (0, "params.yaml: 2 strategies x 1 training x 1 seed = 2 runs\n", "")


def test_check_finds_the_root(tmp_path) -> None:
    """dvc would remove outputs before it found out that there are no sources."""
    for folder in ("src/pixelprune", "stages", "studies/mine"):
        (tmp_path / folder).mkdir(parents=True)
    study = tmp_path / "studies/mine"
    (study / "params.yaml").write_text(
        tiny_study.PARAMS.replace(f"root: {tiny_study.ROOT}", "root: ."), encoding="utf-8"
    )
    assert check(study) == (2, "", (
        "error: params.yaml: root: found '.', which holds no src/pixelprune and no stages; did you mean '../..'?\n"
    ))  # fmt: skip


def test_a_strategy_without_its_map(study: Path) -> None:
    """`check` names the mistake; a stage that is run all the same finds no map and writes nothing."""
    tiny_study.edit(study, "map: foreground, keep: own", "map: edges, keep: own")
    before = tiny_study.outputs(study)
    assert tiny_study.run(study, "prune", "foreground") == (
        2, "", "error: data/maps/edges/train.npy: no such file. Run `dvc repro`, or `dvc pull` to fetch it.\n"
    )  # fmt: skip
    assert tiny_study.outputs(study) == before
