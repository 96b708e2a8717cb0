"""What is left of a gain when the mask answers the attacker: the fourth term of the decomposition, image by image.

    adaptive(pruned model) - kept(pruned model) = mask
    adaptive(pruned model) - full(full model)   = left

The adaptive access is costly and may be measured on fewer images; all three rates are then taken on those. `mask` may
be positive: an attacker who writes everywhere cannot keep the mask from moving, and that can hinder it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pixelprune.evaluation.bootstrap import mean_interval
from pixelprune.evaluation.intervals import Estimate
from pixelprune.evaluation.share import share
from pixelprune.evaluation.worst_case import groups, standing

ACCESS = "adaptive"


@dataclass(frozen=True)
class Moving:
    robust: Estimate
    """Under the adaptive access."""
    mask: Estimate
    left: Estimate
    fixed: bool
    """No attacker can move the mask: the adaptive access is the kept one, and nothing had to be measured."""


def moving(
    full: Sequence[pd.DataFrame],
    pruned: Sequence[pd.DataFrame],
    threat: str,
    eps: float,
    generator: np.random.Generator,
    *,
    fixed: bool,
) -> Moving | None:
    """Rows of the strategy `none` and of a pruning strategy, as for `decompose`; None where nothing was measured.

    fixed: whether the masks are the same whatever is written. Dropped pixels are read by no fill, so the attacker who
    may write on them as well reaches the same logits as one who may not.
    """
    access = "kept" if fixed else ACCESS
    if any(not (rows["access"] == access).any() for rows in pruned):
        return None
    answers = [standing(rows, access, threat, eps) for rows in pruned]
    images = answers[0].index
    kept = [standing(rows, "kept", threat, eps).loc[images] for rows in pruned]
    whole = [standing(rows, "full", threat, eps).loc[images] for rows in full]
    a, k, f = (np.stack([column.to_numpy(np.int8) for column in columns]) for columns in (answers, kept, whole))
    of_image = groups(pruned[0]).loc[images].to_numpy()
    return Moving(
        robust=share(a, of_image, generator),
        mask=mean_interval(a - k, of_image, generator),
        left=mean_interval(a - f, of_image, generator),
        fixed=fixed,
    )
