"""Reads params.yaml: a stage asks for the entry that it depends on, by the dotted path that dvc.yaml uses."""

import re
from pathlib import Path
from typing import Any, TypeVar, overload

import yaml
from pydantic import TypeAdapter, ValidationError

from pixelprune.errors import ParamsError
from pixelprune.mistakes import lines, near

__all__ = ["FILE", "load", "near", "read", "section", "seed", "to_fix", "validated"]

T = TypeVar("T")

FILE = Path("params.yaml")
_asked: dict[tuple[Path, str], Any] = {}
"""What was found, by file and entry: a stage looks at its end whether it still stands there."""
IN_MEMORY = '"<unicode string>", '
"""What YAML calls the text whose file our message names."""


def read(path: Path = FILE) -> dict[str, Any]:
    """The whole file as plain values. Raises ParamsError where it is missing or is not a YAML mapping."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file. Run from the folder of a study: the root, or studies/NAME.") from None
    except OSError as error:
        raise ParamsError(f"{path}: cannot be read ({error.strerror}).") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        said = " ".join(str(error).split()).replace(IN_MEMORY, "")
        raise ParamsError(f"{path}: not readable as YAML\n  {said}") from None
    if not isinstance(content, dict):
        found = "nothing" if content is None else type(content).__name__
        raise ParamsError(f"{path}: found {found}, expected a mapping of sections")
    return content


@overload
def load(entry: str, kind: type[T], path: Path = FILE) -> T: ...
@overload
def load(entry: str, kind: Any, path: Path = FILE) -> Any: ...
def load(entry: str, kind: Any, path: Path = FILE) -> Any:
    """The value at `entry`, e.g. "strategies.half", as a checked value of `kind`, a class or a catalog's union.

    Raises ParamsError that lists every mistake at once, one line each.
    """
    return validated(section(read(path), entry, path), kind, f"{entry}.", path)


def section(values: dict[str, Any], entry: str, path: Path = FILE) -> Any:
    """The plain values at `entry` of the whole file's. Raises ParamsError where there are none."""
    node: Any = values
    for depth, key in enumerate(entry.split(".")):
        if not isinstance(node, dict) or key not in node:
            here = ".".join(entry.split(".")[:depth]) or "the top level"
            names = sorted(map(str, node)) if isinstance(node, dict) else []
            raise ParamsError(f"{path}: no {entry}; {here} has: {', '.join(names) or 'no entries'}{near(key, names)}")
        node = node[key]
    _asked[path.absolute(), entry] = node
    return node


def edited() -> list[str]:
    """The entries of this folder's params.yaml that this process has asked for and that have another value now."""
    own = {entry: value for (path, entry), value in _asked.items() if path == FILE.absolute()}
    found = []
    for entry, value in own.items():
        try:
            same = section(read(), entry) == value
        except ParamsError:
            same = False
        if not same:
            found.append(f"{FILE}: {entry}")
    return found


def forget() -> None:
    """What this process has asked for: nothing, as at its start."""
    _asked.clear()


def seed(word: str) -> int:
    """Of a command line. Raises ParamsError where it is no whole number."""
    if not re.fullmatch("[0-9]+", word):
        raise ParamsError(f"SEED: found {word!r}, expected a whole number, as `seeds` of {FILE} lists them")
    return int(word)


def validated(node: object, kind: Any, prefix: str = "", path: Path = FILE) -> Any:
    """`node` as a checked value of `kind`; the places of mistakes are named behind `prefix`."""
    try:
        return TypeAdapter(kind).validate_python(node)
    except ValidationError as error:
        raise ParamsError(to_fix(lines(error, kind, prefix), path)) from None


def to_fix(mistakes: list[str], path: Path = FILE) -> str:
    """The message of a ParamsError: how many mistakes, then one a line."""
    return "\n  ".join([f"{path}: {len(mistakes)} to fix", *mistakes])


class _Loader(yaml.SafeLoader):
    """Refuses a key that is written twice, of which YAML keeps the last, and `on`, `no` and such, no names in it."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            if key.tag in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} is no name in YAML: put it in quotes", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)
