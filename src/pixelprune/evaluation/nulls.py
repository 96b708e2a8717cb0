"""What robust accuracy to expect if nothing happened but that fewer pixels can be written on.

To first order an L-infinity attack does damage eps * ||m * gradient||_1. Of one fixed network, with a random share k of
its pixels open, that is linear in k: compare `budget` with the full model at k * eps. For networks retrained on k of
the pixels the L1 norm of the gradient grows as the root of the input's dimension: compare `kept` with the full model
at sqrt(k) * eps. For L2 both scale with sqrt(k).

**Source:** C.-J. Simon-Gabriel et al., First-order Adversarial Vulnerability of Neural Networks and Input Dimension,
arXiv 1802.01421. Agreement suggests "fewer pixels" and proves nothing; disagreement needs another explanation.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import pandas as pd

from pixelprune.evaluation.bootstrap import mean_interval
from pixelprune.evaluation.intervals import Estimate
from pixelprune.evaluation.worst_case import groups, standing, standing_clean


@dataclass(frozen=True)
class Null:
    eps: float
    """Radius of the pruned run that the null speaks about."""
    scaled: float
    """Radius at which the full model's curve was read."""
    accuracy: Estimate | None
    """The full model's robust accuracy there; None where that lies beyond the largest radius measured."""


def scales(keep: float, norm: str) -> tuple[float, float]:
    """The factors of eps for a fixed network (against budget) and for a retrained one (against kept), in (0, 1]."""
    if not 0 < keep <= 1:
        raise ValueError(f"keep: needs 0 < keep <= 1, found {keep}")
    if norm not in ("linf", "l2"):
        raise ValueError(f"norm: needs linf or l2, found {norm!r}")
    return (keep if norm == "linf" else sqrt(keep)), sqrt(keep)


def curve(rows: pd.DataFrame, access: str, threat: str) -> pd.DataFrame:
    """Per image and radius 1.0 for standing, 0.0 for broken: index image, columns eps ascending, 0 (clean) first."""
    of_threat = rows[(rows["access"] == access) & (rows["threat"] == threat)]
    columns = {0.0: standing_clean(rows, access).astype(np.float64)}
    for eps in sorted(of_threat["eps"].unique()):
        columns[float(eps)] = standing(rows, access, threat, float(eps)).astype(np.float64)
    return pd.DataFrame(columns)


def read_at(table: pd.DataFrame, eps: float) -> "pd.Series[float] | None":
    """A curve's per-image values at eps, linear between measured radii; None beyond the largest: no extrapolation."""
    radii = table.columns.to_numpy(np.float64)
    if not 0 <= eps <= radii[-1] * (1 + 1e-9):
        return None
    above = min(int(np.searchsorted(radii, eps * (1 - 1e-9))), len(radii) - 1)
    if above == 0:
        return table.iloc[:, 0]
    share = (eps - radii[above - 1]) / (radii[above] - radii[above - 1])
    return (1 - share) * table.iloc[:, above - 1] + share * table.iloc[:, above]


def nulls(
    full: pd.DataFrame, threat: str, norm: str, keep: float, eps: list[float], generator: np.random.Generator
) -> dict[str, list[Null]]:
    """The two overlays {"budget": ..., "kept": ...}, an entry an eps, from the full model's rows of one training seed.

    keep: mean share of pixels that the strategy keeps on the attacked images, in (0, 1].
    """
    table = curve(full, "full", threat)
    of_image = groups(full).to_numpy()
    fixed, retrained = scales(keep, norm)

    def null(radius: float, scale: float) -> Null:
        values = read_at(table, scale * radius)
        accuracy = None if values is None else mean_interval(values.to_numpy(), of_image, generator)
        return Null(radius, scale * radius, accuracy)

    return {
        "budget": [null(radius, fixed) for radius in eps],
        "kept": [null(radius, retrained) for radius in eps],
    }
