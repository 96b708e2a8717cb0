"""What the package asks for is what it imports, and the lock holds all of it."""

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def plain(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace(".", "-").replace("_", "-")


ASKED = {plain(requirement) for requirement in PROJECT["dependencies"]}


def locked(path: str) -> dict[str, str]:
    lines = (ROOT / path).read_text().splitlines()
    return {plain(line): line.split(" ;")[0].split("==")[1] for line in lines if line}


OPTIONAL = {"captum"}
"""Imported when it is asked for; where it is missing the error names it."""

LOCKED, BENCH = locked("requirements.lock"), locked("benchmarks/requirements.lock")


def imports() -> set[str]:
    found = set()
    for path in [*ROOT.glob("src/**/*.py"), *ROOT.glob("stages/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"pixelprune"}


def test_every_import_is_asked_for_and_the_other_way_round():
    owners = {module: {plain(name) for name in names} for module, names in metadata.packages_distributions().items()}
    used = {module: owners[module] & ASKED for module in imports() - OPTIONAL}  # several may share a namespace
    assert all(used.values()), f"asked for by nobody: {[module for module, found in used.items() if not found]}"
    assert set().union(*used.values()) == ASKED


def test_the_lock_holds_everything_that_is_asked_for():
    extras = {name: {plain(ask) for ask in asks} for name, asks in PROJECT["optional-dependencies"].items()}
    bench = extras.pop("bench")
    assert ASKED.union(*extras.values()) | {"setuptools"} <= set(LOCKED)
    assert bench <= set(LOCKED) | set(BENCH)
    assert bench >= OPTIONAL


def test_what_the_benchmarks_add_changes_nothing_of_the_lock():
    assert not set(LOCKED) & set(BENCH)


def test_the_lock_fits_every_machine():
    """No index, no file of this machine, and no CUDA package: pip brings those of the torch build that it chooses."""
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"^(-|nvidia-cu|cuda-|triton)|://|\+cpu| @ ", text, re.MULTILINE)
    assert "sys_platform == 'win32'" in text
    assert LOCKED["torch"] == "2.13.0"
    assert tuple(map(int, LOCKED["requests"].split("."))) >= (2, 32)


def test_the_citation_and_the_changelog_know_the_version():
    assert f"version: {PROJECT['version']}\n" in (ROOT / "CITATION.cff").read_text()
    assert (
        "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()
        or PROJECT["version"] in (ROOT / "CHANGELOG.md").read_text()
    )
