"""The adaptive access: the attacker writes everywhere, and the mask follows what is written.

What stands is what stands against every way of looking for a point, each an attack in the table of rows:
    straight_through    APGD along gradients that take the mask for constant
    through_mask_W      APGD along gradients that also pass through a soft mask of width W
    mask_first          half of the steps at the mask, half at the class
    square, rays        from logits alone, from classes alone
    replayed_A          the points found under access A, looked at again with the mask that they get
    transferred         points made on the full model
Each starts anew, at the headline eps alone; an image is broken where the whole pipeline, its mask recomputed, errs.
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
from pixelprune.attacks.narrowing import Model
from pixelprune.attacks.rays import RayS
from pixelprune.attacks.replayed import Replayed
from pixelprune.attacks.square import Square
from pixelprune.attacks.threat import Threat
from pixelprune.attacks.transferred import Transferred
from pixelprune.harness.accesses import Access
from pixelprune.harness.ladder import Batch, climb
from pixelprune.harness.mask_first import MaskFirst
from pixelprune.harness.pipeline import Pipeline
from pixelprune.pruning import PrunedModel
from pixelprune.selecting import Rank

WIDTHS = (0.3, 0.05)
"""Of the soft mask, in standard deviations of an image's map: a wide one shows the way, a sharp one the last step."""


def measure(
    batch: Batch, pruned: PrunedModel, smooth: Rank, full: Model, threats: Mapping[str, Threat],
    replayed: Mapping[tuple[str, str], Tensor], *, steps: int, queries: int, seed: int, folder: Path,
) -> tuple[pandas.DataFrame, dict[tuple[str, str], Tensor]]:  # fmt: skip
    """Rows of the access `adaptive`; and by ("adaptive", threat), the worst point of every image at the headline eps.

    batch: its `examples` are all of its images. smooth: a map with a gradient that is close to the pipeline's own.
    full: the model that prunes nothing. replayed: points float32 (N, C, H, W) of these images, by the access and the
    threat that they were found under.
    """
    everywhere = torch.ones_like(batch.images[:, :1], dtype=torch.bool)
    straight = Pipeline(pruned, batch.ids)
    tables, worst = [], {}
    for key, threat in threats.items():
        again: dict[str, Attack] = {
            f"replayed_{access}": Replayed(points) for (access, of), points in replayed.items() if of == key
        }
        (_, plain), *through = ways(straight, smooth, steps, queries)
        plain |= {"transferred": Transferred(full, APGD(steps=steps)), **again}
        points = batch.images
        for model, attacks in [(straight, plain), *through]:
            variant = "straight" if model.smooth is None else f"through {model.temperature:g}"
            access = Access("adaptive", model, everywhere, variant)
            table, found = climb(batch, access, {key: threat.at_headline}, attacks, seed=seed, folder=folder)
            tables.append(table)
            points = _worse(straight, batch.labels, points, found[key])
        worst["adaptive", key] = points
    return pandas.concat(tables, ignore_index=True), worst


def ways(straight: Pipeline, smooth: Rank, steps: int, queries: int) -> list[tuple[Pipeline, dict[str, Attack]]]:
    """How to look for a point on the pipeline alone: the same forward, with the gradients that these attacks follow."""
    found: list[tuple[Pipeline, dict[str, Attack]]] = [(straight, {
        "straight_through": APGD(steps=steps), "square": Square(queries=queries), "rays": RayS(queries=queries)
    })]  # fmt: skip
    for width in WIDTHS:
        through = replace(straight, smooth=smooth, temperature=width)
        found.append((through, {f"through_mask_{width:g}": APGD(steps=steps)}))
    found[-1][1]["mask_first"] = MaskFirst(found[-1][0], steps)
    return found


def motion(pruned: PrunedModel, batch: Batch, points: Tensor) -> Tensor:
    """How much of the mask stays under these points (N, C, H, W): intersection over union, float32 (N,).

    1 where the mask is empty and stays so.
    """
    before, after = (pruned.mask(images, batch.ids).flatten(1) for images in (batch.images, points))
    both, either = (before & after).sum(1), (before | after).sum(1)
    return torch.where(either > 0, both / either.clamp(min=1), 1.0)


def _worse(model: Pipeline, labels: Tensor, one: Tensor, other: Tensor) -> Tensor:
    with torch.no_grad():
        better = margin(model(other), labels) > margin(model(one), labels)
    return torch.where(better.view(-1, 1, 1, 1), other, one)
