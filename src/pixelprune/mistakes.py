"""Says in one line each what is wrong with a value: where, what was found, what was expected, what is near."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

LONGEST = 60
"""Characters of a wrong value that are shown."""

_PLAIN = {
    "model_type": "expected a mapping",
    "model_attributes_type": "expected a mapping",
    "dict_type": "expected a mapping",
    "tuple_type": "expected a list",
    "missing": "missing",
}
_SHOULD = "input should be "


def lines(error: ValidationError, kind: Any, prefix: str = "") -> list[str]:
    """One line a place, in the order of the file's fields; the places are named behind `prefix`, e.g. "maps."

    `kind` is the type that was validated: it tells which parts of pydantic's path are keys of the user's.
    """
    placed = [(_place(kind, mistake["loc"]), mistake) for mistake in error.errors()]
    by_place: dict[str, list[Any]] = {}
    for (place, _), mistake in placed:
        deeper = any(other[: len(place)] == place and len(other) > len(place) for (other, _), _ in placed)
        if mistake["type"] == "union_tag_invalid":
            place = [*place, "name"]
        if not (deeper and mistake["type"].endswith("_type")):  # another member of a union came further
            by_place.setdefault((prefix + ".".join(place)).removesuffix("."), []).append(mistake)
    return [f"{place}: {_text(mistakes, kind)}" for place, mistakes in by_place.items()]


def near(word: str, names: Sequence[str]) -> str:
    """ "; did you mean ...?" where one of the names is close to the word, else nothing."""
    found = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def _text(mistakes: list[Any], kind: Any) -> str:
    first = mistakes[0]
    loc, found, context = first["loc"], first["input"], first.get("ctx", {})
    if loc and loc[-1] == "[key]":
        return "a key holds letters, digits and _ only, and begins with a letter" + _instead(loc[-2])
    match first["type"]:
        case "extra_forbidden":
            return f"no such key{_choice(str(loc[-1]), list(_fields(_place(kind, loc[:-1])[1])))}"
        case "union_tag_invalid":
            known = list(_tags(_place(kind, loc)[1]))
            return f"no such name {context['tag']!r}{_choice(context['tag'], known)}"
        case "union_tag_not_found":
            known = list(_tags(_place(kind, loc)[1]))
            return f"needs a `name`; there is {', '.join(known)}"
        case "missing":
            return "missing"
    wishes = list(dict.fromkeys(_wish(mistake) for mistake in mistakes))
    wish = " or ".join([wishes[0], *(other.removeprefix(_SHOULD) for other in wishes[1:])])
    if first["type"] in ("value_error", "assertion_error") and isinstance(found, Mapping):
        return wish  # said by a whole entry: its text names the fields
    return f"{wish}, found {_shown(found)}{_hint(mistakes, found)}"


def _wish(mistake: Any) -> str:
    if mistake["type"] == "too_short":
        least = mistake["ctx"]["min_length"]
        many = "{} or more entries" if isinstance(mistake["input"], Mapping) else "a list of {} or more"
        return f"expected {many.format(least)}"
    message = re.sub(r"^(Value error|Assertion failed), ", "", mistake["msg"])
    return _PLAIN.get(mistake["type"], message[:1].lower() + message[1:])


def _shown(found: object) -> str:
    text = "nothing" if found is None else repr(found)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _hint(mistakes: list[Any], found: object) -> str:
    if not isinstance(found, str):
        return ""
    if any(mistake["type"] in ("float_type", "int_type") for mistake in mistakes):
        return "; YAML reads it as text: a number has no quotes, and 1e-3 is written 1.0e-3" if _number(found) else ""
    choices = [re.findall(r"'([^']*)'", mistake["msg"]) for mistake in mistakes if mistake["type"] == "literal_error"]
    return near(found, [name for names in choices for name in names])


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _choice(word: str, names: list[str]) -> str:
    return near(word, names) or f"; there is {', '.join(names) or 'nothing'}"


def _instead(key: object) -> str:
    fitting = re.sub(r"\W", "_", str(key), flags=re.ASCII)
    return f"; {fitting!r} would do" if re.match(r"[A-Za-z]", fitting) else ""


def _place(kind: Any, loc: Sequence[int | str]) -> tuple[list[str], Any]:
    """The user's own keys of a path, and the type that is expected behind them.

    pydantic's path also names the members of unions; those the user has not written.
    """
    place: list[str] = []
    for part in loc:
        kind = _bare(kind)
        members = get_args(kind)
        if get_origin(kind) in (Union, UnionType):
            kind = next((member for member in members if part in (_tag(member), _name(member))), Any)
            continue
        if part == "[key]":
            break
        place.append(str(part))
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = field.annotation if field else Any
        elif members:  # a dict by its key, a list or tuple by its position
            kind = members[-1] if members[-1] is not Ellipsis else members[0]
        else:
            kind = Any
    return place, _bare(kind)


def _bare(kind: Any) -> Any:
    """Without annotations, and without `| None` where one type is left."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        some = [member for member in get_args(kind) if member is not NoneType]
        return _bare(some[0]) if len(some) == 1 else kind
    return kind


def _fields(kind: Any) -> Iterator[str]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from kind.model_fields


def _tags(kind: Any) -> Iterator[str]:
    yield from (tag for member in get_args(kind) if (tag := _tag(member)))


def _tag(member: Any) -> str | None:
    """The one name that a member of a catalog has."""
    member = _bare(member)
    field = member.model_fields.get("name") if isinstance(member, type) and issubclass(member, BaseModel) else None
    names = get_args(field.annotation) if field and get_origin(field.annotation) is Literal else ()
    return names[0] if names else None


def _name(member: Any) -> str | None:
    return getattr(_bare(member), "__name__", None)
