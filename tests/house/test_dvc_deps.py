"""Every source file that a stage runs is among its deps: a change of code never leaves a stale result."""

from pathlib import Path

import pytest

from pixelprune.commands import deps

ROOT = Path(__file__).parents[2]


def test_the_deps_are_what_the_stages_import():
    assert deps.check(ROOT) == [], "python -m pixelprune deps --fix"


def test_a_measure_that_makes_maps_of_its_own_runs_again_when_one_of_them_changes():
    assert f"{deps.ROOT}{deps.PACKAGE}/maps" in deps.deps(deps.read(ROOT)["measure"])


OWN = ("data", "models", "results", "transfer", "defended", "measures")


@pytest.mark.parametrize("name", sorted(deps.read(ROOT)))
def test_a_stage_is_made_of_places_that_every_study_has(name):
    """Shared files through ${root}; what stages write in the folder of the study."""
    for dep in deps.deps(deps.read(ROOT)[name]):
        assert dep.startswith(("${root}/src/", "${root}/stages/", "${item.reads}", *OWN)), dep


@pytest.mark.parametrize("name", sorted(deps.read(ROOT)))
def test_the_command_names_no_environment(name):
    """The text of the command is part of what a stage is."""
    stage = deps.read(ROOT)[name]
    assert stage.get("do", stage)["cmd"].startswith(f"python ${{root}}/stages/{name}.py")
