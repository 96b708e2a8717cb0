"""What a stage does around its work: its folder, what it reads, its time."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pixelprune import cli, params, stage
from pixelprune.errors import ArtifactError, ParamsError

OUT = Path("results/none")


@pytest.fixture(autouse=True)
def study(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("seeds: [0]\nnetwork: {name: residual, widths: [4]}\n")
    params.forget()
    return tmp_path


def test_its_time_is_noted(study: Path) -> None:
    with stage.running("attack@a-b-0", OUT):
        pass
    assert set(cli.times(study)) == {"attack@a-b-0"}


def test_a_folder_is_written_by_one_at_a_time_whatever_its_params(capsys) -> None:
    with stage.running("one", OUT):
        with pytest.raises(ArtifactError) as error, stage.running("other", OUT, wait=0.2):
            pytest.fail("two write one folder")
        with stage.running("elsewhere", Path("results/other"), wait=0):
            pass
    assert str(error.value) == f"{OUT}: still held after 0 s. End that process, then run again."
    assert capsys.readouterr().err == f"  another process is at this very work ({OUT}); waiting for it\n"


def test_what_the_one_before_has_written_meanwhile_does_not_stay(study: Path, capsys) -> None:
    held = threading.Event()

    def orphan() -> None:
        with stage.running("one", OUT):
            held.set()
            threading.Event().wait(0.3)
            OUT.mkdir(parents=True)
            (OUT / "of_other_params").touch()

    thread = threading.Thread(target=orphan)
    thread.start()
    assert held.wait(10)
    with stage.running("one", OUT):
        assert not OUT.exists()
    thread.join()
    (study / OUT).mkdir()
    (study / OUT / "mine").touch()
    with stage.running("one", OUT):
        assert (OUT / "mine").exists(), "DVC empties the folder; who runs the script by hand keeps it"


def edited(study: Path, text: str | None, entry: str = "network.widths", error: Exception | None = None) -> None:
    """A stage that reads the entry while somebody writes another params.yaml, or removes it; then it may fail."""
    with stage.running("one", OUT):
        params.load(entry, list[int])
        (study / "params.yaml").unlink()
        if text is not None:
            (study / "params.yaml").write_text(text)
        if error:
            raise error


def test_params_that_were_edited_meanwhile_are_refused(study: Path) -> None:
    with pytest.raises(ArtifactError) as error:
        edited(study, "seeds: [0]\nnetwork: {name: residual, widths: [8]}\n")
    assert str(error.value) == (
        "params.yaml: network.widths: edited while this stage ran, and DVC would take its result for that of the edit. "
        "Run again."
    )
    assert cli.times(study) == {}
    edited(study, "network: {widths: [8]}\n")  # what it reads now stays
    with stage.running("next", OUT):  # what stages before it in this process read is no matter of its own
        (study / "params.yaml").write_text("network: {widths: [16]}\n")


@pytest.mark.parametrize("left", ["network: {name: residual}\n", "network: [", "", None])
def test_params_that_are_gone_are_edited(study: Path, left: str | None) -> None:
    with pytest.raises(ArtifactError, match=r"params.yaml: network.widths: edited"):
        edited(study, left)


def test_other_entries_and_layout_may_be_edited(study: Path) -> None:
    edited(study, "# soon\nseeds: [0, 1]\nnetwork:\n  widths: [4]\n  name: plain\n")


def test_an_error_is_not_hidden_by_an_edit(study: Path) -> None:
    with pytest.raises(ParamsError, match="mine"):
        edited(study, None, "seeds", ParamsError("mine"))


SCRIPT = """\
import sys
from pathlib import Path
sys.path.insert(0, "src")
from pixelprune import cli, stage
from pixelprune.datasets import images
def main():
    with stage.running("one", Path("out")):
        for path, text in (line.split("=", 1) for line in sys.stdin):
            Path(path).write_text(Path(path).read_text().replace("Read", "read") + text)
cli.run(main, "")
"""


@pytest.mark.parametrize(
    ("path", "text", "refused"),
    [
        ("src/pixelprune/datasets/images.py", "LATER = 1\n", True),
        ("src/pixelprune/datasets/images.py", "(\n", True),
        ("src/pixelprune/datasets/images.py", "# a word\n", False),
        ("src/pixelprune/attacks/fab.py", "LATER = 1\n", False),
    ],
    ids=["loaded", "broken", "comment", "not loaded"],
)
def test_sources_that_were_edited_meanwhile_are_refused(study: Path, path: str, text: str, refused: bool) -> None:
    package = Path(stage.__file__).parent
    for file in package.rglob("*.py"):
        copy = study / "src/pixelprune" / file.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    (study / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"], input=f"{path}={text}", capture_output=True, text=True, check=False
    )
    assert done.returncode == (2 if refused else 0), done.stderr
    assert done.stderr.startswith(f"error: {path}: edited while this stage ran") == refused
