"""What the mask's outline alone gives away to a model: the images that stand when every kept pixel may take any value.

Not a failure of the attack but a measurement, and a lower bound: it is what this model uses of the outline. A
classifier that sees nothing but outlines is the upper side.
"""

import pandas as pd

from pixelprune.evaluation.intervals import Rate
from pixelprune.evaluation.rows import UNBOUNDED
from pixelprune.evaluation.worst_case import standing


def leak(rows: pd.DataFrame, access: str = "kept") -> Rate | None:
    """The share that stands under the threat "unbounded"; None where it was not measured."""
    own = rows[(rows["access"] == access) & (rows["threat"] == UNBOUNDED)]
    if own.empty:
        return None
    stands = standing(own, access, UNBOUNDED, float(own["eps"].max()))
    return Rate(int(stands.sum()), len(stands))
