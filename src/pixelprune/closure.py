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
    names = _names(path, path.stat().st_mtime_ns, source)
    files = {(source / name.replace(".", "/")).with_suffix(".py") for name in names}
    return {file for file in files if file.is_file()}


def digest(paths: Iterable[Path], source: Path = SOURCE) -> str:
    """SHA-256 of what the files do: comments, docstrings and layout do not count, names of files do.

    The same under every Python version that reads the same tree.
    """
    total = hashlib.sha256()
    for path in sorted(path.resolve() for path in paths):
        name = path.relative_to(source).as_posix() if path.is_relative_to(source) else path.name
        total.update(f"{name}\0{_text(path, path.stat().st_mtime_ns)}\0".encode())
    return total.hexdigest()


def alike(one: bytes, other: bytes) -> bool:
    """Whether two Python files do the same but for comments, docstrings and layout. False where one is no Python."""
    try:
        return _meaning(ast.parse(one)) == _meaning(ast.parse(other))
    except (SyntaxError, ValueError):
        return False


# A process asks for the closures of many files that share most of theirs, so each is read once, or when it has changed.


@cache
def _tree(path: Path, changed: int) -> ast.Module:
    return ast.parse(path.read_bytes(), filename=str(path))


@cache
def _text(path: Path, changed: int) -> str:
    return _meaning(_tree(path, changed))


@cache
def _names(path: Path, changed: int, source: Path) -> frozenset[str]:
    """Every dotted name that may be a module: `from a import b` gives a and a.b."""
    names: set[str] = set()
    for node in _statements(_tree(path, changed)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = [node.module] if node.module else []
            if node.level:
                parts = [*path.relative_to(source).parts[: -node.level], *parts]
            module = ".".join(parts)
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree without expressions, which hold no import, and without the blocks `if TYPE_CHECKING:`."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield from _statements(other)
        elif not isinstance(child, ast.expr):
            yield from _statements(child)


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
