"""Where a gain in robust accuracy comes from: five terms that add up, image by image, with paired intervals.

    kept(pruned model) - full(full model) = budget + location + feature,    feature = clean + hardening

    budget      fewer pixels to write on: the full model, attacked on as many pixels elsewhere, against everywhere
    location    which pixels these are: the mask's own pixels against the moved ones, still the full model
    feature     what the pruned model does better on the same pixels
    clean       the part of it that is there without any attack
    hardening   the rest

Only hardening can speak for better features, and only beside two controls: one for what the mask's outline gives away,
and `both_right`. An image that a network gets wrong anyway cannot be broken, so where few images stand, hardening is
little else than the clean difference with its sign turned. `both_right` is free of that: kept - location on the images
that both networks classify right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pixelprune.errors import ArtifactError
from pixelprune.evaluation.bootstrap import mean_interval
from pixelprune.evaluation.intervals import Estimate, Rate
from pixelprune.evaluation.worst_case import groups, standing, standing_clean

TERMS = ("total", "budget", "location", "feature", "clean", "hardening")


@dataclass(frozen=True)
class Decomposition:
    terms: dict[str, Estimate]
    """One entry a name of TERMS."""
    rates: dict[str, tuple[Rate, ...]]
    """full, budget, location, kept (robust), clean_full, clean_kept: a rate a training seed, on the attacked images."""
    both_right: Estimate | None
    """kept - location on the images that both networks, of every seed, classify right; None where there are none."""
    per_image: dict[str, NDArray[np.int8]]
    """One entry a name of TERMS, int8 (S, N), in [-2, 2]: the identities hold in every entry."""

    @property
    def shown_harder(self) -> bool:
        """Whether the pruned network is shown to be harder to fool on the same pixels, by both measures."""
        return self.terms["hardening"].low > 0 and self.both_right is not None and self.both_right.low > 0

    @property
    def shown_easier(self) -> bool:
        return self.terms["hardening"].high < 0 and self.both_right is not None and self.both_right.high < 0


def decompose(
    full: Sequence[pd.DataFrame],
    pruned: Sequence[pd.DataFrame],
    threat: str,
    eps: float,
    generator: np.random.Generator,
) -> Decomposition:
    """Rows of the strategy `none` and of a pruning strategy, one table a training seed, in the same order of seeds.

    Raises ArtifactError where the tables do not hold the same images.
    """
    if not full or len(full) != len(pruned):
        raise ValueError(
            f"needs as many tables of the full model as of the pruned one, found {len(full)} and {len(pruned)}"
        )
    parts = {
        "full": [standing(rows, "full", threat, eps) for rows in full],
        "budget": [standing(rows, "budget", threat, eps) for rows in pruned],
        "location": [standing(rows, "location", threat, eps) for rows in pruned],
        "kept": [standing(rows, "kept", threat, eps) for rows in pruned],
        "clean_full": [standing_clean(rows, "full") for rows in full],
        "clean_kept": [standing_clean(rows, "kept") for rows in pruned],
    }
    images = parts["full"][0].index
    for name, columns in parts.items():
        if any(not column.index.equals(images) for column in columns):
            raise ArtifactError(f"rows: {name} was measured on other images than full. Run `dvc repro`.")
    stands = {
        name: np.stack([column.to_numpy().astype(np.int8) for column in columns]) for name, columns in parts.items()
    }
    per_image = _terms(stands)
    of_image = groups(pruned[0]).to_numpy()
    terms = {name: mean_interval(values, of_image, generator) for name, values in per_image.items()}
    right = (stands["clean_full"] & stands["clean_kept"]).astype(bool).all(axis=0)
    both_right = mean_interval(per_image["feature"][:, right], of_image[right], generator) if right.any() else None
    return Decomposition(
        terms=terms,
        rates={name: tuple(Rate(int(row.sum()), len(row)) for row in values) for name, values in stands.items()},
        both_right=both_right,
        per_image=per_image,
    )


def _terms(stands: dict[str, NDArray[np.int8]]) -> dict[str, NDArray[np.int8]]:
    """Terms of every image, int8 (S, N), from 0 or 1 for broken or standing."""
    feature = stands["kept"] - stands["location"]
    clean = stands["clean_kept"] - stands["clean_full"]
    values = {
        "total": stands["kept"] - stands["full"],
        "budget": stands["budget"] - stands["full"],
        "location": stands["location"] - stands["budget"],
        "feature": feature,
        "clean": clean,
        "hardening": feature - clean,
    }
    return {name: values[name] for name in TERMS}
