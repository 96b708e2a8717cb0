"""Folders of runs that the study no longer names.

A later stage depends on the folder of all runs; an orphan in it would give that folder another hash than in a clone
that never had the run, and the stage would run there without need.
"""

import shutil
from collections.abc import Collection
from pathlib import Path


def remove(
    root: Path,
    strategies: Collection[str],
    trainings: Collection[str],
    seeds: Collection[int],
    segmenters: Collection[str],
) -> list[Path]:
    """Removes what no key names from data/pruned, data/segments, models and results. Returns the removed folders."""
    axes = [set(strategies), set(trainings), {str(seed) for seed in seeds}]
    removed = _remove(root / "data/segments", [set(segmenters)]) + _remove(root / "data/pruned", axes[:1])
    return removed + _remove(root / "models", axes) + _remove(root / "results", axes)


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
