"""Folders of runs that the study no longer names.

A later stage depends on the folder of all runs; an orphan in it would give that folder another hash than in a clone
that never had the run, and the stage would run there without need.
"""

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

SECTIONS = ("strategies", "trainings", "seeds", "segmenters", "defenses", "measures")
"""Of params.yaml: those whose keys name folders."""


def remove(root: Path, named: Mapping[str, Collection[str | int]]) -> list[Path]:
    """Removes runs that no key names from the folders that later stages read as a whole. Returns the removed folders.

    named: the keys of each of SECTIONS. What holds anything else, such as weights of somebody's own, is left alone.
    """
    of = {section: {str(key) for key in named.get(section, ())} for section in SECTIONS}
    runs = [of["strategies"], of["trainings"], of["seeds"]]
    folders = {
        "data/segments": [of["segmenters"]],
        "data/pruned": [of["strategies"]],
        "models": runs,
        "results": runs,
        "results_defended": [*runs, of["defenses"]],
        "measures": [*runs, of["measures"]],
    }
    removed = [run for folder, axes in folders.items() for run in _remove(root / folder, axes)]
    if removed:
        print(f"  removed, as params.yaml does not name them: {', '.join(map(str, removed))}")
    return removed


def _remove(folder: Path, axes: list[set[str]]) -> list[Path]:
    removed = []
    for child in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not child.is_dir() or child.is_symlink():
            continue
        if child.name not in axes[0]:
            if _is_ours(child, len(axes) - 1):
                shutil.rmtree(child)
                removed.append(child)
        elif len(axes) > 1:
            removed += _remove(child, axes[1:])
    return removed


def _is_ours(folder: Path, depth: int) -> bool:
    """Whether it holds nothing but runs, so many folders below, which are known by the JSON that every stage writes."""
    runs = list(folder.glob("/".join(["*"] * depth))) if depth else [folder]
    ours = {path for run in runs if any(run.glob("*.json")) for path in run.rglob("*")}
    return all(path.is_dir() or path in ours for path in folder.rglob("*"))
