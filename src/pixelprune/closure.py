"""Which of our source files a Python file runs, found by reading and never by running: the deps of a stage.

Imports inside functions count, those for type checkers only do not. Packages' `__init__.py` are empty and left out.
"""

import ast
import hashlib
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
"""The folder that holds the package."""


def closure(
    path: Path, leave_out: Collection[str] = ("catalog",), unfollowed: Collection[Path] = (), source: Path = SOURCE
) -> set[Path]:
    """The file itself and every file of the package that it imports, directly or through others.

    Files with a stem in `leave_out` are followed, not listed: a catalog holds names only, its members count.
    Files in `unfollowed` are neither followed nor listed.
    """
    found: set[Path] = set()
    todo = {path.resolve()}
    stop = {file.resolve() for file in unfollowed}
    while todo:
        found |= todo
        todo = set().union(*(imported(file, source) for file in todo)) - found - stop
    return {file for file in found if file.stem not in leave_out}


def imported(path: Path, source: Path = SOURCE) -> set[Path]:
    """The files of the package that this file names in an import statement."""
    files = {(source / name.replace(".", "/")).with_suffix(".py") for name in _names(path, source)}
    return {file for file in files if file.is_file()}


def digest(paths: Iterable[Path], source: Path = SOURCE) -> str:
    """SHA-256 of what the files do: comments, docstrings and layout do not count, names of files do.

    The same under every Python version that reads the same tree.
    """
    total = hashlib.sha256()
    for path in sorted(path.resolve() for path in paths):
        name = path.relative_to(source).as_posix() if path.is_relative_to(source) else path.name
        total.update(f"{name}\0{_meaning(_tree(path))}\0".encode())
    return total.hexdigest()


@cache
def _tree_of(path: Path, changed: int) -> ast.Module:
    return ast.parse(path.read_bytes(), filename=str(path))


def _tree(path: Path) -> ast.Module:
    return _tree_of(path, path.stat().st_mtime_ns)


def _names(path: Path, source: Path) -> Iterator[str]:
    """Every dotted name that may be a module: `from a import b` gives a and a.b."""
    for node in _run(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = [node.module] if node.module else []
            if node.level:
                parts = [*path.relative_to(source).parts[: -node.level], *parts]
            module = ".".join(parts)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree without the blocks `if TYPE_CHECKING:`."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield from _run(other)
        else:
            yield from _run(child)


def _meaning(node: object) -> str:
    """A tree as text. Empty fields are skipped: which of them exist depends on the version of Python."""
    if isinstance(node, list):
        return f"[{','.join(_meaning(item) for item in node if not _is_docstring(item))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
    return f"{type(node).__name__}({','.join(f'{name}={_meaning(value)}' for name, value in fields if name != 'kind')})"


def _is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
