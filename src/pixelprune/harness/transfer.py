"""The stored adversarial images of every run, tried on every other run of the study.

Source: Carlini et al., "On Evaluating Adversarial Robustness", arXiv:1902.06705, section 4.8: what transfers from a
near twin and is not found by the direct attack shows that the direct attack is blind.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelprune.attacks.replayed import Replayed
from pixelprune.attacks.threat import Threat
from pixelprune.draws import Draws
from pixelprune.evaluation.check import Check, check
from pixelprune.evaluation.worst_case import standing
from pixelprune.harness.accesses import Access

COLUMNS = {"target": "str", "source": "str", "threat": "str", "image": "int64", "stood": "bool", "right": "bool"}


@dataclass(frozen=True)
class Target:
    """A run under its headline access, on the images whose examples are kept."""

    place: str
    """strategy/training/seed"""
    access: Access
    rows: pandas.DataFrame


def tried(
    target: Target, sources: Mapping[str, Mapping[str, Tensor]], threats: Mapping[str, Threat],
    images: Tensor, labels: Tensor, ids: NDArray[np.int64],
) -> pandas.DataFrame:  # fmt: skip
    """One row a source x threat x image: whether it stood under the target's own ladder, and is right on this point.

    sources: place -> threat -> points float32 (N, C, H, W) of these images. They are drawn into the target's mask.
    """
    tables = [pandas.DataFrame(columns=list(COLUMNS))]
    for place, points in sources.items():
        for key, threat in threats.items():
            stood = standing(target.rows, target.access.name, key, threat.headline).reindex(ids).to_numpy(np.bool_)
            found = Replayed(points[key])(
                target.access.model, images, labels,
                ball=threat.ball(), mask=target.access.mask, draws=Draws.of(ids),
            )  # fmt: skip
            with torch.no_grad():
                right = (target.access.model(found).argmax(1) == labels).cpu().numpy()
            column = {"target": target.place, "source": place, "threat": key, "image": ids}
            tables.append(pandas.DataFrame(column | {"stood": stood, "right": right}))
    return pandas.concat(tables, ignore_index=True).astype(COLUMNS)


def examined(table: pandas.DataFrame) -> Check:
    """E29, from the rows of one target."""
    title, limit = "attacks on other runs break no more", "0.2 % of the images, or 1"
    if table.empty:
        return check("E29", title, "this is the only run", limit, "F", None)
    by_image = table.groupby(["threat", "image"])[["stood", "right"]].all()
    fell = int((by_image["stood"] & ~by_image["right"]).sum())
    others = table["source"].nunique()
    found = f"of {int(by_image['stood'].sum())} that stand, {fell} fall to points made on {others} other runs"
    return check("E29", title, found, limit, "F", fell <= max(1, round(0.002 * len(by_image))))
