"""A stage that is killed goes on where it stood and ends with the bytes of an undisturbed one; never two at once."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import tiny_study

from pixelprune import artifacts, stage
from pixelprune.closure import closure
from pixelprune.harness import run

STATE = Path(".pixelprune/state")


def killed_after(folder: Path, beginning: str, *words: str) -> list[str]:
    """Ends the stage by SIGKILL as soon as it has printed a line that begins so. Returns the lines until then."""
    process, lines = tiny_study.start(folder, *words), []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if line.startswith(beginning):
            break
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "the stage was done before it could be killed"
    return lines


def parts(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file of the state, with what tells whether it was written again."""
    files = [path for path in (folder / STATE).rglob("*.safetensors") if not path.name.startswith(".")]
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}


@pytest.fixture(scope="module")
def resumed(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A study whose training was killed after an epoch and started again, and the second start's lines of epochs."""
    study = tiny_study.copied(finished, tmp_path_factory.mktemp("resumed") / "study")
    shutil.rmtree(study / "models/foreground")
    words = ("train", "foreground", "natural", "0")
    killed_after(study, "  epoch 1/6", *words)
    assert not (study / "models/foreground").exists()
    assert len(list((study / STATE).glob("*/progress.json"))) == 1
    status, out, error = tiny_study.within(study, *words)
    assert (status, tiny_study.complaints(error)) == (0, [])
    return study, [line for line in out.splitlines() if line.startswith("  epoch")]


def test_a_killed_training_goes_on_after_its_last_whole_epoch(finished: Path, resumed: tuple[Path, list[str]]) -> None:
    study, epochs = resumed
    assert epochs and not epochs[0].startswith("  epoch 1/6")
    assert epochs[-1].startswith("  epoch 6/6")
    assert not list((study / STATE).rglob("*.safetensors")), "the state of a finished training is forgotten"
    again, first = tiny_study.outputs(study), tiny_study.outputs(finished)
    assert sorted(again) == sorted(first)
    assert [name for name in first if again[name] != first[name]] == []


def test_a_killed_attack_reuses_what_it_found(finished: Path, study: Path) -> None:
    words = ("attack", "foreground", "natural", "0")
    goal = "results/foreground/natural/0"
    killed_after(study, "  budget: ", *words)
    assert not (study / goal / "card.json").exists(), "the card of the result that was there"
    before = parts(study)
    assert len(before) >= 3 * 2  # attacks x eps of the access that was done
    status, _, error = tiny_study.within(study, *words)
    assert (status, tiny_study.complaints(error)) == (0, [])
    after = parts(study)
    assert {name: after[name] for name in before} == before
    # accesses x attacks x eps, ways of the adaptive access, budgets of the background, and the unbounded attack
    assert len(after) == 3 * 3 * 2 + 9 + 2 * 5 + 1
    assert tiny_study.outputs(study) == tiny_study.outputs(finished)


def test_autoattack_killed_in_its_last_attack_goes_on_there(study: Path, tmp_path: Path) -> None:
    """By SIGKILL while squares are tried: what the three attacks before them found is read back."""
    words = ("attack", "none", "natural", "0")
    shutil.rmtree(study / "results/none")
    tiny_study.edit(study, "  pgd: {name: pgd, steps: 3}", "  auto: {name: autoattack, steps: 3, queries: 300}")
    other = tiny_study.copied(study, tmp_path / "undisturbed")
    assert tiny_study.within(other, *words)[0] == 0

    process = tiny_study.start(study, *words)
    try:
        while not (pages := list((study / STATE).rglob("*-0-2.safetensors"))):
            assert process.poll() is None, "the stage was done before it could be killed"
            time.sleep(0.005)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (study / "results/none/natural/0/rows.parquet").exists()
    before = parts(study)
    assert {page.name for page in pages} <= set(before)

    assert tiny_study.within(study, *words)[0] == 0
    assert not list((study / STATE).rglob("*-0-?.safetensors")), "pages of an ensemble that ended are gone"
    own, whole = parts(study), {name for name in before if not name[:-12].endswith(("-0-0", "-0-1", "-0-2"))}
    assert {name: own[name] for name in whole} == {name: before[name] for name in whole}
    assert tiny_study.outputs(study) == tiny_study.outputs(other)


def test_an_attack_that_is_done_costs_no_attack_again(finished: Path, study: Path) -> None:
    words = ("attack", "none", "natural", "0")
    shutil.copytree(finished / STATE, study / STATE)
    before = parts(study)
    shutil.rmtree(study / "results/none")
    assert tiny_study.within(study, *words)[0] == 0
    assert parts(study) == before
    assert tiny_study.outputs(study) == tiny_study.outputs(finished)


def test_another_selector_is_other_work(finished: Path, study: Path) -> None:
    """The masks that answer an attacker come from it: what was found with another one must not be read back."""
    shutil.copytree(finished / STATE, study / STATE)
    before = {path.parent for path in (study / STATE).rglob("*.safetensors")}
    path = study / "data/pruned/foreground/selector.safetensors"
    tensors = artifacts.load_tensors(path)
    last = next(name for name in reversed(tensors) if name.startswith("surrogate.") and name.endswith("bias"))
    artifacts.save_tensors(path, tensors | {last: tensors[last] + 0.01})
    assert tiny_study.within(study, "attack", "foreground", "natural", "0")[0] == 0
    assert len({path.parent for path in (study / STATE).rglob("*.safetensors")} - before) == 1


def test_another_way_to_ask_the_pipeline_is_other_work(finished: Path, study: Path, monkeypatch) -> None:
    """What the accesses are made of decides what was found under them, also where no attack changed."""
    sources = run.sources()
    rest = closure(tiny_study.ROOT / "stages/attack.py") - sources - {Path(stage.__file__)}
    assert {file.parent.name for file in rest} == {"stages", *run.ELSEWHERE}
    shutil.copytree(finished / STATE, study / STATE)
    before = {path.parent for path in (study / STATE).rglob("*.safetensors")}
    (changed,) = (file for file in sources if file.name == "pipeline.py")
    other = study / changed.name
    other.write_text(f"{changed.read_text()}\nMORE = 1\n")
    monkeypatch.setattr(run, "sources", lambda: sources - {changed} | {other})
    assert tiny_study.within(study, "attack", "foreground", "natural", "0")[0] == 0
    assert len({path.parent for path in (study / STATE).rglob("*.safetensors")} - before) == 1


def test_another_architecture_behind_the_same_weights_is_other_work(finished: Path, study: Path) -> None:
    """What an attack on a defense found is kept by the network's card, too: weights may fit several networks."""
    shutil.copytree(finished / STATE, study / STATE)
    before = {path.parent for path in (study / STATE).rglob("*.safetensors")}
    words = ("attack_defended", "natural", "0", "rain")
    assert tiny_study.within(study, *words)[0] == 0
    assert {path.parent for path in (study / STATE).rglob("*.safetensors")} == before
    card = study / "models/none/natural/0/card.json"
    card.write_text(card.read_text() + "\n")
    assert tiny_study.within(study, *words)[0] == 0
    assert len({path.parent for path in (study / STATE).rglob("*.safetensors")} - before) == 1


@pytest.mark.parametrize("epochs", [6, 7])
def test_a_second_process_waits_for_the_first(finished: Path, study: Path, epochs: int) -> None:
    """Also where the params of the first were others: what it still writes must not be what is left."""
    words = ("train", "none", "natural", "0")
    shutil.rmtree(study / "models/none")
    params = (study / "params.yaml").read_text()
    (study / "params.yaml").write_text(params.replace("epochs: 6", f"epochs: {epochs}"))
    first = tiny_study.start(study, *words)
    assert first.stdout is not None
    assert first.stdout.readline().startswith(f"  epoch 1/{epochs}")
    first.send_signal(signal.SIGSTOP)
    (study / "params.yaml").write_text(params)
    second = tiny_study.start(study, *words)
    try:
        assert second.stderr is not None
        assert second.stderr.readline().startswith("  another process is at this very work (models/none/natural/0)")
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(0.3)
        assert not (study / "models/none").exists()
    finally:
        first.send_signal(signal.SIGCONT)
    _, said = first.communicate(timeout=120)
    assert first.returncode == (0 if epochs == 6 else 2)
    assert said.startswith("error: params.yaml: trainings.natural: edited while this stage ran") == (epochs != 6)
    second.communicate(timeout=120)
    assert second.returncode == 0
    assert tiny_study.outputs(study) == tiny_study.outputs(finished)
