"""Which images stand: right when clean, and right under every attack of a threat up to a radius.

The worst case is taken image by image; a minimum or a product of accuracies would not be what an attacker with all the
attacks reaches. Clean errors count as broken.

**Source:** N. Carlini et al., On Evaluating Adversarial Robustness, arXiv 1902.06705: the strongest attack per example.
"""

import numpy as np
import pandas as pd

from pixelprune.errors import ArtifactError
from pixelprune.evaluation.rows import KEY


def standing(rows: pd.DataFrame, access: str, threat: str, eps: float) -> "pd.Series[bool]":
    """One bool an image, indexed by image id in ascending order; its mean is the robust accuracy.

    An image stands only if it is right when clean and every attack of access x threat failed on it at eps and at every
    smaller eps of that threat. Raises ArtifactError where nothing was measured at eps, or where an attack left out an
    image (which would count as standing).
    """
    of_threat = rows[(rows["access"] == access) & (rows["threat"] == threat)]
    if not measured(of_threat, eps):
        raise ArtifactError(
            f"rows: nothing measured for access {access}, threat {threat}, eps {eps:g}. Run `dvc repro`."
        )
    tried = of_threat[of_threat["eps"] <= eps + _near(eps)]
    _refuse_gaps(tried, f"access {access}, threat {threat}")
    right = (tried["clean_pred"] == tried["label"]) & (tried["adv_pred"] == tried["label"])
    return right.groupby(tried["image"]).all().sort_index()


def standing_clean(rows: pd.DataFrame, access: str) -> "pd.Series[bool]":
    """One bool an attacked image, indexed by image id: right when clean, by the model that `access` attacks."""
    own = rows[rows["access"] == access].drop_duplicates("image").set_index("image").sort_index()
    if own.empty:
        raise ArtifactError(f"rows: nothing measured for access {access}. Run `dvc repro`.")
    return own["clean_pred"] == own["label"]


def groups(rows: pd.DataFrame) -> "pd.Series[int]":
    """The group of every attacked image, int64, indexed by image id in ascending order."""
    return rows.drop_duplicates("image").set_index("image").sort_index()["group"]


def measured(rows: pd.DataFrame, eps: float) -> bool:
    """Whether some row has this radius."""
    return bool((np.abs(rows["eps"] - eps) <= _near(eps)).any())


def _near(eps: float) -> float:
    """Radii are written as fractions of 255 and may differ in the last bit."""
    return 1e-9 * max(eps, 1e-9)


def _refuse_gaps(tried: pd.DataFrame, where: str) -> None:
    images = tried["image"].nunique()
    counts = tried.groupby(["eps", "attack"], observed=True)["image"].nunique()
    short = counts[counts != images].reset_index()
    if len(short):
        eps, attack, count = short.iloc[0]
        raise ArtifactError(f"rows: {where}: {attack} at eps {eps:g} has {count} of {images} images. Run `dvc repro`.")
    if tried.duplicated(KEY).any():
        raise ArtifactError(f"rows: {where}: an image has two rows for one attack at one eps. Run `dvc repro`.")
