"""Do two given networks differ in accuracy on the same images? Only the images that they disagree on can tell.

**Source:** Q. McNemar, Psychometrika 12 (1947), in its exact form; mid-p after M. Fagerland, S. Lydersen and P. Laake,
The McNemar test for binary matched-pairs data, BMC Med. Res. Methodol. 13:91 (2013).

Images are taken as independent; where they come in groups, the interval of `bootstrap` carries the conclusion.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr


@dataclass(frozen=True)
class McNemar:
    only_first: int
    """Images that only the first network has right."""
    only_second: int
    p: float
    """Exact, two-sided, conditional on the discordant images; never too small."""
    mid_p: float
    """Counts the observed outcome by half: more power, error rate near the level but not bounded by it."""
    n: int


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """Compares two bool (N,): right or not, entry i of both about the same image. Raises ValueError on other shapes."""
    first, second = _right(first), _right(second)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"needs two vectors about the same images, found {first.shape} and {second.shape}")
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    p, mid_p = _tails(only_first, only_second)
    return McNemar(only_first, only_second, p, mid_p, len(first))


def _tails(b: int, c: int) -> tuple[float, float]:
    """Both p of b against c heads of b + c fair coins."""
    fewer, tosses = min(b, c), b + c
    if tosses == 0:
        return 1.0, 1.0
    up_to = float(bdtr(fewer, tosses, 0.5))
    below = float(bdtr(fewer - 1, tosses, 0.5)) if fewer else 0.0
    observed = up_to - below
    if b == c:  # the observed outcome is the middle one and has no mirror image
        return 1.0, 1.0 - observed / 2
    return min(1.0, 2 * up_to), 2 * below + observed


def _right(values: Any) -> NDArray[np.bool_]:
    array = np.asarray(values)
    if array.dtype != np.bool_:
        raise ValueError(f"needs bool, found {array.dtype}")
    return array
