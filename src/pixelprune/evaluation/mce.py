"""Mean corruption error: errors under corruptions, as a share of those that a reference makes.

Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
ICLR 2019, section 4.1, arXiv:1903.12261. Their reference is AlexNet; any model with the same images will do.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas

KEY = ["image", "corruption", "severity"]


def mce(table: pandas.DataFrame, reference: pandas.DataFrame, held_out: Collection[str] = ()) -> dict[str, Any]:
    """`by`: the error of each corruption, sum over severities, over that of the reference; `mce`: their mean; `n`.

    table, reference: columns image, label, corruption, severity, pred, in any order of rows. Rows of severity 0 are
    clean images and do not count. held_out: corruptions that are in `by` and not in the mean. Where the reference makes
    no error there is no share: None, left out of the mean. Raises ValueError where the two tables do not hold the same
    images under the same corruptions and severities.
    """
    own, other = (part.sort_values(KEY, ignore_index=True) for part in (table, reference))
    if len(own) != len(other) or not (own[[*KEY, "label"]] == other[[*KEY, "label"]]).all(axis=None):
        raise ValueError("needs the same images, corruptions and severities in both tables")
    mine, theirs = (_sums(part) for part in (own, other))
    by = {name: mine[name] / theirs[name] if theirs[name] > 0 else None for name in mine}
    shares = [share for name, share in by.items() if share is not None and name not in held_out]
    return {"mce": float(np.mean(shares)) if shares else None, "by": by, "n": own["image"].nunique()}


def _sums(table: pandas.DataFrame) -> dict[str, float]:
    """The errors of each corruption, added over its severities."""
    corrupted = table[table["severity"] > 0]
    wrong = (corrupted["pred"] != corrupted["label"]).groupby([corrupted["corruption"], corrupted["severity"]])
    return {str(name): float(error) for name, error in wrong.mean().groupby("corruption").sum().items()}
