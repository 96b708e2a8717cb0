"""Studies beside one another: each has the same dvc.yaml, its own params.yaml, and results of its own."""

import json
import shutil

import pytest

from end_to_end.clones import STRATEGIES, Clone
from pixelprune.commands import deps

STUDY = "studies/tiny"
ATTACKED = {f"attack@{key}-natural-0" for key in STRATEGIES} | {"transfer", "report"}


@pytest.fixture
def both(copied) -> Clone:
    """The root study and one in studies/tiny with the same params, both run to their end.

    The second is not run but moved there: its dvc.lock is that of the root with the other way to the sources. That dvc
    finds it complete is part of the test: results do not depend on the folder of a study.
    """
    folder = copied.root / STUDY
    folder.mkdir(parents=True)
    shutil.copy(copied.root / "dvc.yaml", folder)
    copied.write_params(copied.params() | {"root": "../.."}, STUDY)
    lock = copied.lock.decode().replace("python ./", "python ../../").replace("- path: ./", "- path: ../../")
    (folder / "dvc.lock").write_text(lock)
    for name in ("data", "models", "results", *deps.FOLDERS, "transfer", "report", "metrics"):
        shutil.copytree(copied.root / name, folder / name, dirs_exist_ok=True)
    assert changed(copied, ".") == changed(copied, STUDY) == set()
    return copied


def changed(clone: Clone, folder: str) -> set[str]:
    """The stages of one study that dvc calls changed."""
    found = json.loads(clone.dvc("status", "--json", "dvc.yaml", cwd=folder))
    return {name.rpartition(":")[2] for name in found}


def set_eps(clone: Clone, folder: str, *eps: str) -> None:
    values = clone.params(folder)
    values["threats"]["linf"]["eps"] = list(eps)
    clone.write_params(values, folder)


def test_the_params_of_one_study_touch_no_other(both):
    locks = [both.root / "dvc.lock", both.root / STUDY / "dvc.lock"]
    before = [lock.read_bytes() for lock in locks]

    set_eps(both, STUDY, "1/255", "8/255")
    assert changed(both, STUDY) == ATTACKED
    assert both.repro() == set()

    set_eps(both, STUDY, "4/255", "8/255")
    set_eps(both, ".", "1/255", "8/255")
    assert changed(both, ".") == ATTACKED
    assert both.repro(f"{STUDY}/dvc.yaml") == set()

    assert [lock.read_bytes() for lock in locks] == before
