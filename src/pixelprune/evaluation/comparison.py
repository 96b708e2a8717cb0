"""Two networks on the same images: both accuracies, the paired difference, and whether chance explains it.

Each line is about two given networks; training one of them again from another seed may turn it around.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pixelprune.errors import ArtifactError
from pixelprune.evaluation.bootstrap import mean_interval
from pixelprune.evaluation.holm import holm
from pixelprune.evaluation.intervals import Estimate, Rate
from pixelprune.evaluation.mcnemar import McNemar, mcnemar


@dataclass(frozen=True)
class Comparison:
    what: str
    before: Rate
    after: Rate
    difference: Estimate
    """after - before."""
    test: McNemar
    adjusted: float
    """The exact p, after Holm over the family; before that, p itself."""

    def significant(self, alpha: float) -> bool:
        """By the test and by the interval: where images come in groups, the interval is the more careful one."""
        return self.adjusted <= alpha and self.difference.excludes_zero


def compare(
    what: str,
    before: "pd.Series[bool]",
    after: "pd.Series[bool]",
    groups: "pd.Series[int]",
    generator: np.random.Generator,
) -> Comparison:
    """Right or not, each indexed by image id in ascending order, and the group of every image."""
    if not (before.index.equals(after.index) and after.index.equals(groups.index)):
        raise ValueError("needs the same images in the same order")
    first, second = before.to_numpy(bool), after.to_numpy(bool)
    test = mcnemar(first, second)
    difference = mean_interval(second.astype(np.int8) - first.astype(np.int8), groups.to_numpy(), generator)
    n = len(first)
    return Comparison(what, Rate(int(first.sum()), n), Rate(int(second.sum()), n), difference, test, test.p)


def corrected(family: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons with p after Holm over all of them."""
    adjusted = holm([one.test.p for one in family])
    return [replace(one, adjusted=float(p)) for one, p in zip(family, adjusted)]


def refuse_other_images(before: pd.DataFrame, after: pd.DataFrame, which: str) -> None:
    """Raises ArtifactError unless both tables hold the same image ids with the same labels."""
    first, second = (table.drop_duplicates("image").set_index("image")["label"] for table in (before, after))
    both = first.index.intersection(second.index)
    if len(both) != len(first) or len(both) != len(second):
        found = f"{len(first)} before, {len(second)} after, {len(both)} of them the same"
        raise ArtifactError(f"{which}: other images ({found}): not comparable.")
    other = int((first.loc[both].to_numpy() != second.loc[both].to_numpy()).sum())
    if other:
        raise ArtifactError(f"{which}: {other} of {len(both)} images have another label: not comparable.")


def refuse_other_threats(before: pd.DataFrame, after: pd.DataFrame, which: str) -> None:
    """Raises ArtifactError unless both tables hold the same set of access, threat, norm, eps and attack."""
    first, second = _tried(before), _tried(after)
    if first != second:
        gone, new = ("; ".join(sorted(part)) or "nothing" for part in (first - second, second - first))
        raise ArtifactError(f"{which}: other threats (only before: {gone}; only after: {new}): not comparable.")


def _tried(rows: pd.DataFrame) -> set[str]:
    parts = rows[["access", "threat", "norm", "eps", "attack"]].drop_duplicates()
    words = parts.assign(eps=parts["eps"].map(shown)).astype(str)
    return set(words.agg(" ".join, axis=1))


def shown(eps: float) -> str:
    """As the literature writes it where that is exact: 8/255."""
    levels = round(eps * 255)
    return f"{levels}/255" if 0 < levels < 255 and abs(levels / 255 - eps) < 1e-9 else f"{eps:g}"
