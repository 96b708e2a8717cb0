"""Another budget on the background: what a strategy keeps may change by eps, what it drops by a multiple of that.

The attacker writes everywhere and the mask follows. Attacks know one ball; so they move a virtual picture inside it,
from which the picture is stretched: a change of what was dropped counts that many times. Under l2 the ball becomes an
ellipsoid with these half-axes. The full model is attacked in the same way, with the same mask.
Source of the threat model: Tong et al., "Towards Robustness against Unsuspicious Adversarial Examples" (dual
perturbation), arXiv:2005.04272.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas
import torch
from torch import Tensor

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.attack import Attack
from pixelprune.attacks.fast import Fast
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.square import Square
from pixelprune.attacks.threat import Threat
from pixelprune.harness.accesses import Access
from pixelprune.harness.adaptive import WIDTHS
from pixelprune.harness.ladder import Batch, climb
from pixelprune.harness.pipeline import Pipeline
from pixelprune.pruning import PrunedModel
from pixelprune.selecting import Rank

MIDDLE = 0.5
"""Value of the virtual pixels that stand for dropped ones whose budget is a smaller one. Where it is a larger one they
start from their own value: [0, 1] then stops them no earlier than it stops the pixels that they stand for."""


@dataclass(frozen=True)
class Stretched:
    """Virtual images (N, C, H, W) -> logits of the model on what they stand for, for these N images."""

    model: Model
    images: Tensor
    """float32 (N, C, H, W), clean."""
    kept: Tensor
    """bool (N, 1, H, W)"""
    times: float
    """A change of a dropped pixel, as a multiple of the change of its virtual one."""

    @property
    def start(self) -> Tensor:
        """The virtual images that stand for the clean ones."""
        return self.images if self.times >= 1 else torch.where(self.kept, self.images, MIDDLE)

    def actual(self, virtual: Tensor) -> Tensor:
        """The images, float32 (N, C, H, W) in [0, 1]. A gradient passes the clamp as if it were not there."""
        moved = self.images + self.times * (virtual - self.start)
        moved = moved + (moved.clamp(0, 1) - moved).detach()
        return torch.where(self.kept, virtual, moved)

    def __call__(self, virtual: Tensor) -> Tensor:
        return self.model(self.actual(virtual))

    def narrow(self, index: Tensor) -> "Stretched":
        return Stretched(narrow(self.model, index), self.images[index], self.kept[index], self.times)


def measure(
    batch: Batch, kept: Tensor, pruned: PrunedModel, smooth: Rank | None, full: Model, threats: Mapping[str, Threat], *,
    times: Sequence[float], steps: int, queries: int, seed: int, folder: Path,
) -> pandas.DataFrame:  # fmt: skip
    """Rows of the accesses `full` and `adaptive` at the headline eps, and a column `background`: the multiple.

    kept: bool (N, 1, H, W), of the clean images. smooth: as in adaptive.measure; None for a mask that does not move.
    Distances in the rows are those of the virtual images: they say how much of its budget the attacker used.
    """
    everywhere, straight = torch.ones_like(kept), Pipeline(pruned, batch.ids)
    apgd = APGD(steps=steps)
    ways: list[tuple[str, Model, dict[str, Attack]]] = [
        ("full", full, {"fast": Fast()}),
        ("adaptive", straight, {"straight_through": apgd, "square": Square(queries=queries)}),
    ]
    for width in WIDTHS if smooth is not None else ():
        through = replace(straight, smooth=smooth, temperature=width)
        ways.append(("adaptive", through, {f"through_mask_{width:g}": apgd}))
    headlines = {key: threat.at_headline for key, threat in threats.items()}
    tables = []
    for multiple in times:
        for number, (name, model, attacks) in enumerate(ways):
            stretched = Stretched(model, batch.images, kept, multiple)
            virtual = replace(batch, images=stretched.start, examples=0)
            access = Access(name, stretched, everywhere, f"background {multiple!r} {number}")
            table, _ = climb(virtual, access, headlines, attacks, seed=seed, folder=folder)
            tables.append(table.assign(background=multiple))
    return pandas.concat(tables, ignore_index=True)
