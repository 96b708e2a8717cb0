"""docs/params.md: every option of params.yaml, made from the code as the schema is."""

import inspect
import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic.fields import FieldInfo

from pixelprune.options import Options

NAME = "docs/params.md"
HEAD = """\
# Every option of params.yaml

Written by `python -m pixelprune schema`, which also writes the schema that editors complete and check by. An entry that
may be of several kinds says which in `name`. Options without a default have to be given.
"""


def text() -> str:
    from pixelprune.attacks.catalog import Attack
    from pixelprune.attacks.threat import Threat
    from pixelprune.datasets.catalog import Dataset
    from pixelprune.defenses.catalog import Defense
    from pixelprune.fills.catalog import Fill
    from pixelprune.harness.effort import Effort
    from pixelprune.harness.settings import Evaluation
    from pixelprune.maps.catalog import Map
    from pixelprune.measures.catalog import Measure
    from pixelprune.models.catalog import Network
    from pixelprune.pruning import Strategy
    from pixelprune.segmenters.catalog import Segmenter
    from pixelprune.training.catalog import Learning
    from pixelprune.training.pretrained import Pretrained

    families: list[tuple[str, str, Any]] = [
        ("dataset", "One.", Dataset),
        ("segmenters", "Any number, by keys of your own: `grabcut: {name: grabcut}`.", Segmenter),
        ("maps", "Any number, by keys of your own; `reads` is the artifact a map is computed from.", Map),
        ("strategies", "Any number, by keys of your own; `none` has to be one of them.", Strategy),
        ("fills", "`fill` of a strategy: a name, or a mapping with options.", Fill),
        ("network", "One.", Network),
        ("trainings", "Any number, by keys of your own; `silhouette` is one more.", Learning),
        ("pretrained", "One more of the trainings, which learns nothing; `silhouette` cannot be one.", Pretrained),
        ("threats", "Any number, by keys of your own. The first one is the one that checks look at.", Threat),
        ("ladder", "Attacks, by keys of your own: an image stands if it stands under every one of them.", Attack),
        ("evaluation", "How much of a study is evaluated.", Evaluation),
        ("defenses", "Any number, by keys of your own, or none: `{}`.", Defense),
        ("defended", "How hard defenses are attacked: by the first of the threats, at its headline eps.", Effort),
        ("measures", "Any number, by keys of your own, or none: `{}`.", Measure),
    ]
    return HEAD + "".join(
        f"\n## {title}\n\n{words}\n\n" + "\n".join(_family(kind)) + "\n" for title, words, kind in families
    )


def _family(kind: Any) -> Iterator[str]:
    if isinstance(kind, type) and issubclass(kind, Options):
        yield from _table(kind.model_fields)
        return
    members: tuple[type[Options], ...] = get_args(get_args(kind)[0])
    shared = {
        key: field for key, field in members[0].model_fields.items()
        if key != "name" and all(_line(key, member.model_fields.get(key)) == _line(key, field) for member in members)
    }  # fmt: skip
    for member in members:
        module = inspect.getmodule(member)
        about = ((module and module.__doc__) or "").strip().partition("\n\n")[0].replace("\n", " ")
        own = {key: field for key, field in member.model_fields.items() if key != "name" and key not in shared}
        yield f"**`{get_args(member.model_fields['name'].annotation)[0]}`** {about}\n"
        if own:
            yield from _table(own)
            yield ""
    if shared:
        yield "All of them:\n"
        yield from _table(shared)


def _table(fields: dict[str, FieldInfo]) -> Iterator[str]:
    yield "| option | default | |\n|---|---|---|"
    for key, field in fields.items():
        yield _line(key, field)


def _line(key: str, field: FieldInfo | None) -> str:
    return (
        ""
        if field is None
        else f"| `{key}` | {'' if field.is_required() else _default(field.default)} | {field.description or ''} |"
    )


def _default(value: Any) -> str:
    if isinstance(value, Options):
        return f"`{value.model_dump(mode='json').get('name')}`"
    if isinstance(value, float) and value in (2 / 255, 8 / 255):
        return f"`{round(value * 255)}/255`"
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"
