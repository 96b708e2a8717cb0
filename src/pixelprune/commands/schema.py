"""Write params.schema.json, by which editors check params.yaml, and docs/params.md: schema

They are made from the options in the code, in the root of the repository; every params.yaml names it in its first line.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from pixelprune import artifacts
from pixelprune.commands import reference
from pixelprune.commands.deps import project

NAME = "params.schema.json"


def main(words: list[str]) -> int:
    argparse.ArgumentParser("python -m pixelprune schema", description=__doc__).parse_args(words)
    for name, content in ((NAME, text()), (reference.NAME, reference.text())):
        path = project(Path.cwd()) / name
        artifacts.save_text(path, content)
        print(f"written: {path}")
    return 0


def text() -> str:
    """The schema of a study as it stands in the file."""
    return json.dumps(schema(), indent=1, sort_keys=True) + "\n"


def schema() -> dict[str, Any]:
    from pixelprune.study import Study

    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Study.model_json_schema()}
