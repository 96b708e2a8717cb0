"""Checks that need nothing but the table of rows: is an attack's report consistent with itself?

**Source:** N. Carlini et al., On Evaluating Adversarial Robustness, arXiv 1902.06705; A. Athalye et al., Obfuscated
Gradients, arXiv 1802.00420 (iterative beats single-step, unbounded attacks succeed); M. Pintor et al., Indicators of
Attack Failure, arXiv 2106.09947 (silent success).
"""

from collections.abc import Collection
from typing import Final

import pandas as pd

from pixelprune.evaluation.check import Check, check, not_run
from pixelprune.evaluation.intervals import percent
from pixelprune.evaluation.leak import leak
from pixelprune.evaluation.rows import UNBOUNDED

SLACK: Final = 1e-6
"""By how much a float32 distance may exceed eps."""
UNBOUNDED_SHARE: Final = 0.005
"""What may stand under an unbounded attack that reaches every pixel."""


def row_checks(rows: pd.DataFrame, single_step: Collection[str], iterative: Collection[str]) -> list[Check]:
    """All checks of this file, in the order of their ids. The collections hold keys of the ladder."""
    return [
        feasible(rows),
        monotone(rows),
        unbounded(rows),
        iterative_is_stronger(rows, single_step, iterative),
        silent_success(rows),
    ]


def feasible(rows: pd.DataFrame) -> Check:
    """E2. Within the ball and the mask, and a number. (That pixels are in [0, 1] is checked where they are held.)"""
    distance = rows["linf"].where(rows["norm"] == "linf", rows["l2"])
    numbers = rows[["linf", "l2", "adv_margin", "clean_margin"]].notna().all(axis=1)
    wrong = ~(distance <= rows["eps"] + SLACK) | ~numbers | (rows["changed_outside"] != 0)
    found = f"{int(wrong.sum())} of {len(rows)} rows outside" + (
        f", first: {_place(rows[wrong])}" if wrong.any() else ""
    )
    threshold = "no row beyond eps + 1e-6, with nan, or changed where writing is not allowed"
    return check("E2", "adversarial images are feasible", found, threshold, "F", not wrong.any())


def monotone(rows: pd.DataFrame) -> Check:
    """E4. With warm starts an image that is broken at a small radius is broken at every larger one."""
    title, threshold = "a larger eps never saves an image", "0 images"
    where = ["access", "threat", "image"]
    broken = rows["adv_pred"] != rows["label"]
    table = rows.assign(broken=broken).groupby([*where, "eps"], observed=True)["broken"].any().astype(int).reset_index()
    if not table.duplicated(where).any():
        return check("E4", title, "one eps only", threshold, "F", None)
    saved = table[table.groupby(where, observed=True)["broken"].diff() < 0]
    places = sorted(set(saved["access"] + " " + saved["threat"]))
    found = f"{len(saved)} images" + (f" ({', '.join(places)})" if places else "")
    return check("E4", title, found, threshold, "F", len(saved) == 0)


def unbounded(rows: pd.DataFrame) -> Check:
    """E5. Fatal where every pixel is open; where only kept pixels are, what stands is a measurement of the outline."""
    title = "an unbounded attack leaves nothing standing"
    free = rows[rows["threat"] == UNBOUNDED]
    if "full" not in set(free["access"]):
        rate = leak(rows)
        if rate is None:
            return not_run("E5", title, "no rows of the unbounded threat", "a measurement under kept access", "W")
        return check("E5", title, f"leak {rate}: used of the outline", "a measurement under kept access", "W", None)
    rate = leak(rows, "full")
    assert rate is not None
    threshold = f"at most {percent(UNBOUNDED_SHARE)} % or 1 image"
    if is_constant(free.loc[free["access"] == "full", ["image", "clean_pred"]].drop_duplicates()["clean_pred"]):
        return check("E5", title, f"{rate}; one class for all images", threshold, "F", None)
    return check("E5", title, str(rate), threshold, "F", rate.successes <= max(1, UNBOUNDED_SHARE * rate.n))


def iterative_is_stronger(rows: pd.DataFrame, single_step: Collection[str], iterative: Collection[str]) -> Check:
    """E8. At every access, threat and eps the iterative attacks break what the single-step ones do, to one image."""
    title, threshold = "iterative attacks are not weaker than single-step ones", "at most 1 image"
    excess = (_broken(rows, single_step) - _broken(rows, iterative)).rename("more").reset_index().dropna()
    if excess.empty:
        return check("E8", title, "no place where both kinds ran", threshold, "F", None)
    first = excess.sort_values("more", ascending=False, kind="stable").iloc[0]
    worst = max(int(first["more"]), 0)
    place = f" ({first['access']} {first['threat']} eps {first['eps']:.4f})" if worst else ""
    found = f"single-step breaks {worst} images more{place}"
    return check("E8", title, found, threshold, "F", worst <= 1)


def silent_success(rows: pd.DataFrame) -> Check:
    """E19. An image wrong from the start was given back right, or a margin contradicts its own prediction."""
    lost = (rows["clean_pred"] != rows["label"]) & (rows["adv_pred"] == rows["label"])
    wrong, margin = rows["adv_pred"] != rows["label"], rows["adv_margin"]
    contradicts = (wrong & (margin < 0)) | (~wrong & (margin > 0))
    found = f"{int(lost.sum())} successes lost, {int(contradicts.sum())} margins contradict the prediction"
    return check("E19", "verdicts and margins agree", found, "0 rows", "F", not (lost | contradicts).any())


def is_constant(predictions: "pd.Series[int]") -> bool:
    """Whether a model says one class for all images (of which there are several)."""
    return len(predictions) > 1 and predictions.nunique() == 1


def _broken(rows: pd.DataFrame, attacks: Collection[str]) -> "pd.Series[int]":
    """Images broken by any of the attacks, at each access, threat and eps."""
    own = rows[rows["attack"].isin(list(attacks))]
    where = ["access", "threat", "eps"]
    by_image = (
        own.assign(broken=own["adv_pred"] != own["label"]).groupby([*where, "image"], observed=True)["broken"].any()
    )
    return by_image.astype(int).groupby(level=where, observed=True).sum()


def _place(rows: pd.DataFrame) -> str:
    row = rows.iloc[0]
    return f"{row['access']} {row['threat']} {row['attack']} eps {row['eps']:.4f} image {row['image']}"
