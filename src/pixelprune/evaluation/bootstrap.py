"""The interval of a mean of per-image values, by resampling what is independent: groups of images, and training seeds.

**Source:** B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), section 13.3, percentile interval.
Images of one photo or one track are drawn together. With several training seeds both the seeds and the groups are
drawn, crossed: every seed was tested on the same images, so one draw of images holds for all seeds of a resample
(A. Owen, The pigeonhole bootstrap, Ann. Appl. Stat. 1 (2007)); drawing images anew for every seed would make the
interval too narrow.

Few seeds give few resamples of seeds: with 3, the interval is still too narrow. Where all values are equal, its width
is 0.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelprune.evaluation.intervals import Estimate

RESAMPLES = 10_000
_CELLS = 4_000_000
"""Weights held at once."""


def mean_interval(
    values: NDArray[Any],
    groups: NDArray[Any],
    generator: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Estimate:
    """The mean of paired per-image values with its percentile interval.

    values: numbers or bool, (N,), or (S, N) for S training seeds tested on the same images; groups: (N,), any labels.
    A mean is over images: a large group weighs more than a small one. Raises ValueError on other shapes and on nan.
    """
    table = np.atleast_2d(np.asarray(values, np.float64))
    groups = np.asarray(groups)
    if table.ndim != 2 or groups.shape != table.shape[1:] or not table.size or not np.isfinite(table).all():
        raise ValueError(f"needs finite values (N,) or (S, N) and groups (N,), found {table.shape} and {groups.shape}")
    seeds, n = table.shape
    kinds, share = _kinds(table, groups)
    means = np.concatenate(
        [
            _resample(kinds, share, len(np.unique(groups)), seeds, part, generator)
            for part in _parts(resamples, len(share))
        ]
    )
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(float(table.mean()), float(low), float(high), n, seeds)


def _kinds(table: NDArray[np.float64], groups: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Groups with equal sums and sizes are interchangeable: (K, S + 1) sums a seed and size; the share of each kind.

    Drawing how often each kind occurs is the same as drawing groups, at K instead of G numbers a resample.
    """
    _, position = np.unique(groups, return_inverse=True)
    sums = [np.bincount(position, weights=row) for row in table]
    rows = np.stack([*sums, np.bincount(position).astype(np.float64)], axis=1)
    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    return kinds, counts / counts.sum()


def _resample(
    kinds: NDArray[np.float64],
    share: NDArray[np.float64],
    groups: int,
    seeds: int,
    resamples: int,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Means (resamples,) of draws of `groups` groups and, where there are several, of `seeds` seeds."""
    totals = generator.multinomial(groups, share, size=resamples).astype(np.float64) @ kinds
    of_seeds = totals[:, :-1] / totals[:, -1:]
    if seeds == 1:
        return of_seeds[:, 0]
    weights = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    return (of_seeds * weights).sum(axis=1)


def _parts(resamples: int, width: int) -> list[int]:
    """Resamples in parts that fit in memory."""
    size = max(1, min(resamples, _CELLS // max(width, 1)))
    return [min(size, resamples - start) for start in range(0, resamples, size)]
