"""Check params.yaml as a whole, or with --report the verdict of the report: check [--report]

Every mistake of params.yaml is listed at once (exit status 2).
--report exits with 1 where a check of report/checks.csv failed that makes a number invalid.
"""

import argparse
import math
import os
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from pixelprune import params
from pixelprune.artifacts import AGAIN
from pixelprune.errors import ArtifactError, ParamsError

CHECKS = Path("report/checks.csv")
PIPELINE = Path("dvc.yaml")


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m pixelprune check", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--report", action="store_true", help="judge report/checks.csv instead of params.yaml")
    if parser.parse_args(words).report:
        return report()
    values = params.read()  # before the imports, which take seconds: the usual mistake is the wrong folder
    from pixelprune import study

    found = study.load()
    rooted(found.root)
    axes = f"{_count(len(found.strategies), 'strateg', 'y', 'ies')} x {_count(len(found.trainings), 'training')}"
    stages = stage_count(PIPELINE, values)
    ending = f", {_count(stages, 'stage')}" if stages else ""
    print(f"{params.FILE}: {axes} x {_count(len(found.seeds), 'seed')} = {_count(len(found.runs), 'run')}{ending}")
    theirs = Path(found.root) / PIPELINE
    if stages and theirs.is_file() and theirs.read_bytes() != PIPELINE.read_bytes():
        print(
            f"{PIPELINE}: differs from {os.path.relpath(theirs)}, so changes of newer sources may run nothing again; "
            "`python -m pixelprune deps --fix` copies that one",
            file=sys.stderr,
        )
    return 0


def rooted(root: str) -> None:
    """Raises ParamsError where `root` is not the repository's: dvc would only find out once it had removed outputs."""
    if not is_root(Path(root)):
        above = [folder for folder in Path.cwd().parents if is_root(folder)]
        near = f"; did you mean {os.path.relpath(above[0])!r}?" if above else ""
        raise ParamsError(f"{params.FILE}: root: found {root!r}, which holds no src/pixelprune and no stages{near}")


def is_root(folder: Path) -> bool:
    return (folder / "src/pixelprune").is_dir() and (folder / "stages").is_dir()


def report(path: Path = CHECKS) -> int:
    """1 where a fatal check failed; says which."""
    import pandas

    try:
        checks = pandas.read_csv(path, dtype=str, keep_default_na=False)
        failed = checks[(checks["severity"] == "F") & (checks["verdict"] == "fail")]
        named = [("/".join(row[["strategy", "training", "seed"]]), row) for _, row in failed.iterrows()]
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file. {AGAIN}") from None
    except (KeyError, ValueError) as error:
        raise ArtifactError(f"{path}: not a table of checks ({error}). Delete it and run `dvc repro`.") from None
    for place, row in named:
        print(f"failed: {row['id']} {place}: {row['title']}: found {row['found']}, expected {row['threshold']}")
    verdicts = checks["verdict"].value_counts()
    print(f"{path}: " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items())))
    return 1 if len(failed) else 0


def stage_count(path: Path, values: dict[str, Any]) -> int:
    """How many stages dvc.yaml unfolds into; 0 where there is none."""
    if not path.is_file():
        return 0
    stages = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("stages", {})
    return sum(_unfolded(stage, values) for stage in stages.values())


def _unfolded(stage: dict[str, Any], values: dict[str, Any]) -> int:
    if "foreach" in stage:
        return len(_looked_up(stage["foreach"], values))
    return math.prod(len(_looked_up(axis, values)) for axis in stage.get("matrix", {}).values())


def _looked_up(axis: Any, values: dict[str, Any]) -> Any:
    """`${a.b}` by the params, anything else as it is."""
    name = re.fullmatch(r"\$\{([\w.]+)\}", axis) if isinstance(axis, str) else None
    if not name:
        return axis
    node: Any = values
    for key in name[1].split("."):
        node = node[key]
    return node


def _count(number: int, word: str, one: str = "", many: str = "s") -> str:
    return f"{number} {word}{one if number == 1 else many}"
