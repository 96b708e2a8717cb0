"""The adaptive access: the attacker writes everywhere, and the mask follows what is written.

What stands is what stands against every way of looking for a point, each a line of the table:
    key of the ladder   along gradients that take the mask for constant (straight through)
    through_mask_W      APGD along gradients that also pass through a soft mask of width W
    square              squares of one color, without gradients
    replayed_A          the points found under access A, looked at again with the mask that they get
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas
import torch
from torch import Tensor

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.attack import Attack
from pixelprune.attacks.losses import margin
from pixelprune.attacks.replayed import Replayed
from pixelprune.attacks.square import Square
from pixelprune.attacks.threat import Threat
from pixelprune.harness.accesses import Access
from pixelprune.harness.ladder import Batch, climb
from pixelprune.harness.pipeline import Pipeline
from pixelprune.models.quick import quick
from pixelprune.pruning import PrunedModel
from pixelprune.selecting import Rank

WIDTHS = (0.3, 0.05)
"""Of the soft mask, in standard deviations of an image's map: a wide one shows the way, a sharp one the last step."""


def measure(
    batch: Batch, pruned: PrunedModel, smooth: Rank, threats: Mapping[str, Threat], ladder: Mapping[str, Attack],
    replayed: Mapping[tuple[str, str], Tensor], *, steps: int, queries: int, seed: int, folder: Path,
) -> tuple[pandas.DataFrame, dict[tuple[str, str], Tensor]]:  # fmt: skip
    """Rows of the access `adaptive`; and by ("adaptive", threat), the worst point of every image at the headline eps.

    batch: its `examples` are all of its images. smooth: a map with a gradient that is close to the pipeline's own.
    replayed: points float32 (N, C, H, W) of these images, by the access and the threat that they were found under.
    """
    everywhere = torch.ones_like(batch.images[:, :1], dtype=torch.bool)
    straight = Pipeline(pruned, batch.ids)
    searched = replace(pruned, model=quick(pruned.model))
    tables, worst = [], {}
    for key, threat in threats.items():
        again = {f"replayed_{access}": Replayed(points) for (access, of), points in replayed.items() if of == key}
        ways: list[tuple[str, Pipeline, dict[str, Attack]]] = [
            ("straight", straight, {**ladder, "square": Square(queries=queries), **again})
        ]
        for width in WIDTHS:
            through = replace(straight, smooth=smooth, temperature=width)
            ways.append((f"through {width:g}", through, {f"through_mask_{width:g}": APGD(steps=steps)}))
        points = batch.images
        for variant, model, attacks in ways:
            access = Access("adaptive", model, everywhere, variant, replace(model, pruned=searched))
            table, found = climb(batch, access, {key: threat}, attacks, seed=seed, folder=folder)
            tables.append(table)
            points = _worse(straight, batch.labels, points, found[key])
        worst["adaptive", key] = points
    return pandas.concat(tables, ignore_index=True), worst


def _worse(model: Pipeline, labels: Tensor, one: Tensor, other: Tensor) -> Tensor:
    with torch.no_grad():
        better = margin(model(other), labels) > margin(model(one), labels)
    return torch.where(better.view(-1, 1, 1, 1), other, one)
