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
    """Removes what no key names from the folders that later stages read as a whole. Returns the removed folders.

    named: the keys of each of SECTIONS.
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
    return [removed for folder, axes in folders.items() for removed in _remove(root / folder, axes)]


def _remove(folder: Path, axes: list[set[str]]) -> list[Path]:
    removed = []
    for child in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not child.is_dir() or child.is_symlink():
            continue
        if child.name not in axes[0]:
            shutil.rmtree(child)
            removed.append(child)
        elif len(axes) > 1:
            removed += _remove(child, axes[1:])
    return removed
