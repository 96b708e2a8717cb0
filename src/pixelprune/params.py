"""Reads params.yaml: a stage asks for the entry that it depends on, by the dotted path that dvc.yaml uses."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from pixelprune.errors import ParamsError
from pixelprune.options import Options

T = TypeVar("T")

FILE = Path("params.yaml")


def read(path: Path = FILE) -> dict[str, Any]:
    """The whole file as plain values. Raises ParamsError where it is missing or is not a YAML mapping."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file. Run from the folder of a study: the root, or studies/NAME.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: not readable as YAML\n  {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ParamsError(f"{path}: found {type(content).__name__}, expected a mapping of sections")
    return content


def load(entry: str, kind: type[T], path: Path = FILE) -> T:
    """The value at `entry`, e.g. "strategies.half", as a checked value of `kind`.

    Raises ParamsError that lists every mistake at once, one line each.
    """
    node: Any = read(path)
    for depth, key in enumerate(entry.split(".")):
        if not isinstance(node, dict) or key not in node:
            here = ".".join(entry.split(".")[:depth]) or "the top level"
            names = sorted(map(str, node)) if isinstance(node, dict) else []
            raise ParamsError(f"{path}: no {entry}; {here} has: {', '.join(names) or 'no entries'}{near(key, names)}")
        node = node[key]
    return validated(node, kind, f"{entry}.", path)


def validated(node: object, kind: Any, prefix: str = "", path: Path = FILE) -> Any:
    """`node` as a checked value of `kind`; the places of mistakes are named behind `prefix`."""
    try:
        return TypeAdapter(kind).validate_python(node)
    except ValidationError as error:
        lines = "\n".join(f"  {prefix}{_line(mistake, kind)}" for mistake in error.errors())
        raise ParamsError(f"{path}: {error.error_count()} to fix\n{lines}") from None


def _line(mistake: dict[str, Any] | Any, kind: Any) -> str:
    schema_words = {"literal", "tuple", "dict", "list"}
    where = ".".join(str(part) for part in mistake["loc"] if str(part) not in schema_words)
    where = where.removesuffix(".[key]")
    found = mistake["input"]
    match mistake["type"]:
        case "extra_forbidden":
            return f"{where}: no such key{near(str(mistake['loc'][-1]), sorted(set(_fields())))}"
        case "union_tag_invalid":
            known = [tag.strip(" '") for tag in mistake["ctx"]["expected_tags"].split(",")]
            tag = mistake["ctx"]["tag"]
            return f"{where}.name: no such name {tag!r}; there is {', '.join(known)}{near(tag, known)}"
        case "union_tag_not_found":
            return f"{where}: needs a `name`"
        case "missing":
            return f"{where}: missing"
        case "string_pattern_mismatch" if mistake["loc"][-1] == "[key]":
            return f"{where}: a key holds letters, digits and _ only, and begins with a letter"
    message = mistake["msg"].removeprefix("Value error, ")
    return f"{where}: {message[:1].lower()}{message[1:]}, found {found!r}"


def near(word: str, names: list[str]) -> str:
    """"; did you mean ...?" where one of the names is close to the word, else nothing."""
    found = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def _fields(model: type[Options] = Options) -> Iterator[str]:
    """The names of all fields of all options that are imported."""
    for child in model.__subclasses__():
        yield from child.model_fields
        yield from _fields(child)
