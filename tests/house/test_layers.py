"""Who may import whom. Layers are cache boundaries: an import upwards would run stages again that did not change."""

import ast
import re
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src/pixelprune"
LAYER = {
    "errors": -1,
    "options": 0, "mistakes": 0, "sampling": 0, "parallel": 0,
    "params": 1, "artifacts": 1, "cli": 1, "closure": 1, "compat": 1, "runtime": 1, "state": 1, "draws": 1,
    "orphans": 1, "global_state": 1, "locks": 0, "stage": 2,
    "datasets": 2, "segmenters": 2, "maps": 2, "fills": 2, "models": 2, "attacks": 2, "corruptions": 2, "evaluation": 2,
    "pruning": 3, "surrogate": 3,
    "pruned": 4, "selecting": 4,
    "training": 5, "defenses": 5, "measures": 5, "harness": 5, "reporting": 5,
    "defending": 6, "measuring": 6, "loading": 6, "study": 6,
    "commands": 7,
    "__main__": 8,
}  # fmt: skip

READS_ANY_CATALOG = {"selecting", "defending", "loading", "study", "commands"}
READS_ONE_CATALOG = {
    ("pruning", "fills"),
    ("pruned", "fills"),
    ("harness", "corruptions"),
    ("measures", "corruptions"),
    ("measures", "maps"),
    ("training", "models"),
}

FILES = sorted(SRC.rglob("*.py"))
CATALOGS = sorted(SRC.glob("*/catalog.py"))


def modules(path: Path) -> set[str]:
    """What a file imports of the package: pixelprune.attacks.pgd -> attacks.pgd"""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("pixelprune.") for name in found if name.startswith("pixelprune.")}


def room(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_imports_go_down(path):
    own = room(path)
    for other in {name.split(".")[0] for name in modules(path)} - {own}:
        assert LAYER[other] < LAYER[own], f"{own} (layer {LAYER[own]}) imports {other} (layer {LAYER[other]})"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_algorithms_do_not_know_the_catalogs(path):
    """Else a new member would change the sources of its users."""
    own = room(path)
    for name in modules(path):
        family, _, rest = name.partition(".")
        if rest.split(".")[0] == "catalog" and own not in READS_ANY_CATALOG:
            assert (own, family) in READS_ONE_CATALOG or own == family == "training", f"{own} imports {name}"


def test_packages_are_empty():
    assert not [str(path) for path in SRC.rglob("__init__.py") if path.read_text().strip()]


@pytest.mark.parametrize("path", CATALOGS, ids=room)
def test_a_catalog_holds_names_only(path):
    """It is left out of the deps of stages, so nothing in it may compute."""
    _docstring, *body = ast.parse(path.read_text()).body
    for node in body:
        assert isinstance(node, ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.Expr), ast.unparse(node)
        calls = [call for call in ast.walk(node) if isinstance(call, ast.Call)]
        assert {ast.unparse(call.func) for call in calls} <= {"Field"}, ast.unparse(node)
        assert not any(isinstance(part, ast.BinOp) and not isinstance(part.op, ast.BitOr) for part in ast.walk(node))
    ours = {name.split(".")[0] for name in modules(path)}
    assert ours == {room(path)}


@pytest.mark.parametrize("path", CATALOGS, ids=room)
def test_a_member_lives_in_the_file_of_its_name(path):
    """A stage depends on the file of its own member alone, and finds it by the name."""
    text = path.read_text()
    if "discriminator" not in text:
        return
    stems = re.findall(rf"^from pixelprune\.{room(path)}\.(\w+) import (\w+)$", text, re.MULTILINE)
    assert stems
    for stem, kind in stems:
        tree = ast.parse((path.parent / f"{stem}.py").read_text())
        (own,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind)
        names = [
            ast.unparse(node.annotation)
            for node in own.body
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "name"
        ]
        assert names == [f"Literal['{stem}']"]
