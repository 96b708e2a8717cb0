"""A defended network against the same network without its defense, paired, on the images that both were attacked on."""

from typing import Any

import numpy as np
import pandas

from pixelprune.evaluation.comparison import Comparison, compare, corrected
from pixelprune.harness.ways import CLEAN, STATIC, TRANSFERRED


def compared(rows: pandas.DataFrame, generator: np.random.Generator) -> list[dict[str, Any]]:
    """One entry a way, and one for the worst of the ways at every number of images; rows: those of harness.defended.

    `before` is the undefended network: clean for the way `clean`, else under its own attack. `after` is the mean of
    fresh draws. A worst case counts the ways that saw all of its images.
    """
    groups = _column(rows, CLEAN, "group")
    without = _column(rows, STATIC, "right_mean")
    pairs = {CLEAN: (_column(rows, CLEAN, "undefended_clean_right"), _column(rows, CLEAN, "right_mean"))}
    for way in searched(rows):
        pairs[way] = (without, _column(rows, way, "right_mean"))
    pairs |= {f"worst of {len(stands)}": (without, stands) for stands in worst(rows)}
    found = [
        compare(
            what,
            before.reindex(after.index).astype(bool),
            after.astype(bool),
            groups.reindex(after.index),
            generator,
        )
        for what, (before, after) in pairs.items()
    ]
    return [_entry(one, rows) for one in corrected(found)]


def searched(rows: pandas.DataFrame) -> list[str]:
    """All ways that try to break the defended network, transferred points included."""
    return [way for way in rows["way"].unique() if way not in (CLEAN, STATIC)]


def worst(rows: pandas.DataFrame) -> list["pandas.Series[bool]"]:
    """For each number of images that a way has, most first: whether they stand under every way that saw all of them."""
    own = {way: _column(rows, way, "right_mean") for way in [CLEAN, *searched(rows)]}
    found = []
    for count in sorted({len(right) for way, right in own.items() if way != CLEAN}, reverse=True):
        seen = next(right.index for right in own.values() if len(right) == count)
        wide = [right.reindex(seen) for right in own.values() if seen.isin(right.index).all()]
        found.append(pandas.concat(wide, axis=1).all(axis=1))
    return found


def adaptive(rows: pandas.DataFrame) -> list[str]:
    """The ways that look at the defended network itself."""
    return [way for way in searched(rows) if way != TRANSFERRED]


def _column(rows: pandas.DataFrame, way: str, name: str) -> "pandas.Series":
    return rows[rows["way"] == way].set_index("image").sort_index()[name]


def _entry(one: Comparison, rows: pandas.DataFrame) -> dict[str, Any]:
    own = rows[rows["way"] == one.what]
    entry = {
        "way": one.what, "n": one.difference.n, "before": one.before.share, "before_interval": one.before.interval,
        "after": one.after.share, "after_interval": one.after.interval, "difference": one.difference.value,
        "difference_interval": one.difference.interval, "only_before": one.test.only_first,
        "only_after": one.test.only_second, "p": one.test.p, "p_holm": one.adjusted,
    }  # fmt: skip
    if len(own):
        entry |= {"majority": float(own["right_majority"].mean()), "single_draw": float(own["right_share"].mean())}
        entry |= {kind: int(own[kind].sum()) for kind in ("forward", "backward")}
    return entry
