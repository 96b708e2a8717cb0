"""Mean corruption error: errors under corruptions, as a share of those that a reference makes.

Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
ICLR 2019, section 4.1, arXiv:1903.12261. Their reference is AlexNet; any model with the same images will do.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

KEY = ["image", "corruption", "severity"]


def mce(
    table: pandas.DataFrame,
    reference: pandas.DataFrame,
    *,
    relative: bool = False,
    corruptions: Iterable[str] | None = None,
) -> dict[str, Any]:
    """`by`: the error of each corruption, sum over severities, over that of the reference; `mce`: their mean; `n`.

    table, reference: columns image, label, corruption, severity, pred, in any order of rows. Rows of severity 0 are
    clean images. relative: each error counts beyond the clean one. corruptions: all where left out.
    Where the reference makes no error (none beyond the clean one) there is no share: None, which the mean leaves out.
    Raises ValueError where the two tables do not hold the same images under the same corruptions and severities.
    """
    own, other = (part.sort_values(KEY, ignore_index=True) for part in (table, reference))
    if len(own) != len(other) or not (own[[*KEY, "label"]] == other[[*KEY, "label"]]).all(axis=None):
        raise ValueError("needs the same images, corruptions and severities in both tables")
    names = own.loc[own["severity"] > 0, "corruption"]
    chosen = list(dict.fromkeys(names)) if corruptions is None else list(corruptions)
    sums = [_sums(part, relative) for part in (own, other)]
    by = {name: sums[0][name] / sums[1][name] if sums[1][name] > 0 else None for name in chosen}
    shares = [share for share in by.values() if share is not None]
    return {"mce": float(np.mean(shares)) if shares else None, "by": by, "n": own["image"].nunique()}


def _sums(table: pandas.DataFrame, relative: bool) -> dict[str, float]:
    """The errors of each corruption, added over its severities. Raises ValueError where clean rows lack."""
    wrong: NDArray[np.bool_] = (table["pred"] != table["label"]).to_numpy()
    level = table["severity"].to_numpy()
    if relative and not (level == 0).any():
        raise ValueError("a relative error needs rows of severity 0: clean images")
    clean = float(wrong[level == 0].mean()) if relative else 0.0
    corrupted = table[level > 0].assign(error=wrong[level > 0] - clean)
    errors = corrupted.groupby(["corruption", "severity"])["error"].mean().groupby("corruption").sum()
    return {str(name): float(error) for name, error in errors.items()}
