"""The adaptive access of a strategy that draws its mask anew each time: no attacker knows the next mask.

Attacks climb the mean of 20 draws, other ones at each step; an image is broken where the mean of 100 draws, which no
attack has seen, errs. What stands is what stands against every one of these attacks in the table of rows:
    mean_ce, mean_dlr   APGD along the gradient of that mean
    square, rays        from its logits alone, from its classes alone
    replayed_A          the points found under access A
    transferred         points made on the full model
Sources: Croce & Hein, ICML 2020, arXiv:2003.01690 (`rand`: 20 draws, both losses); Athalye et al., ICML 2018,
arXiv:1802.00420, section 4.2.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import torch
from torch import Tensor

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.attack import Attack
from pixelprune.attacks.believed import Believed
from pixelprune.attacks.fresh import Fresh
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Model
from pixelprune.attacks.rays import RayS
from pixelprune.attacks.replayed import Replayed
from pixelprune.attacks.square import Square
from pixelprune.attacks.threat import Threat
from pixelprune.attacks.transferred import Transferred
from pixelprune.draws import Draws
from pixelprune.evaluation.check import Check, check
from pixelprune.harness.accesses import Access
from pixelprune.harness.ladder import Batch, climb
from pixelprune.harness.redrawn import Redrawn, votes
from pixelprune.models.quick import quick
from pixelprune.pruning import PrunedModel

STEP, VERDICT = 20, 100
"""Draws behind each answer that an attack gets, and behind each verdict."""
TITLE = "more draws a step find no more, and a known draw is no harder"
THRESHOLD = "0.5 % of the images, or 1"


def measure(
    batch: Batch, pruned: PrunedModel, full: Model, threats: Mapping[str, Threat],
    replayed: Mapping[tuple[str, str], Tensor], *, steps: int, queries: int, seed: int, folder: Path,
) -> tuple[pandas.DataFrame, dict[tuple[str, str], Tensor]]:  # fmt: skip
    """As adaptive.measure, for a map that answers by chance."""
    tables, worst = [], {}
    for key, threat in threats.items():
        attacks: dict[str, Attack] = {
            "mean_ce": Believed(APGD(steps=steps), mean(pruned, batch, VERDICT, seed, "judge mean_ce")),
            "mean_dlr": Believed(APGD(steps=steps, loss="dlr"), mean(pruned, batch, VERDICT, seed, "judge mean_dlr")),
            "square": Believed(Square(queries=queries), mean(pruned, batch, VERDICT, seed, "judge square")),
            "rays": Believed(RayS(queries=queries), mean(pruned, batch, VERDICT, seed, "judge rays")),
            "transferred": Transferred(full, APGD(steps=steps)),
        }
        attacks |= {f"replayed_{access}": Replayed(points) for (access, of), points in replayed.items() if of == key}
        points, margins = batch.images, np.full(len(batch), -np.inf)
        for name, attack in attacks.items():
            access = _access(pruned, batch, seed, name)
            table, found = climb(batch, access, {key: threat.at_headline}, {name: attack}, seed=seed, folder=folder)
            worse = torch.tensor(table["adv_margin"].to_numpy() > margins, device=points.device).view(-1, 1, 1, 1)
            points, margins = torch.where(worse, found[key], points), np.maximum(margins, table["adv_margin"])
            tables.append(table)
        worst["adaptive", key] = points
    return pandas.concat(tables, ignore_index=True), worst


def examine(
    batch: Batch, few: int, pruned: PrunedModel, threat: Threat, points: Tensor, *, steps: int, seed: int
) -> Check:
    """E16, its attacks on the first `few` images. points: the worst that were found for the whole batch."""
    some = batch.first(few)
    once, twice = (_stand(pruned, some, threat, count, steps, seed) for count in (STEP, 2 * STEP))
    known = _stand(pruned, some, threat, 1, steps, seed, known=True)
    with torch.no_grad():
        each = mean(pruned, batch, VERDICT, seed, "votes").each(points)
    right = [int((margin(said, batch.labels) <= 0).sum()) for said in (each.exp().mean(0), votes(each))]
    one = (each.argmax(2) == batch.labels).float().mean().item()
    limit = max(1, round(0.005 * len(some)))
    found = (
        f"of {len(some)} images {once} stand at {STEP} draws a step, {twice} at {2 * STEP}, {known} where the draw is "
        f"known; at the worst points of {len(batch)}, {right[0]} stand by the mean of {VERDICT} draws, {right[1]} by "
        f"their majority, and one draw is right on {one:.1%}"
    )
    return check("E16", TITLE, found, THRESHOLD, "W", once - twice <= limit and known - once <= limit)


def _stand(
    pruned: PrunedModel, batch: Batch, threat: Threat, count: int, steps: int, seed: int, known: bool = False
) -> int:
    """How many images stand after APGD along the mean of so many draws; known: always of the same one."""
    everywhere, draws = torch.ones_like(batch.images[:, :1], dtype=torch.bool), _draws(batch, seed, f"E16 {count}")
    model: Model = mean(pruned, batch, count, seed, f"E16 {count}", fast=True)
    judge: Model = mean(pruned, batch, VERDICT, seed, "E16 judge")
    verdict: Model = mean(pruned, batch, VERDICT, seed, "E16 verdict")
    if known:
        model = judge = verdict = pruned.frozen(pruned.mask(batch.images, batch.ids))
    attack = Believed(APGD(steps=steps), judge)
    found = attack(model, batch.images, batch.labels, ball=threat.ball(), mask=everywhere, draws=draws)
    with torch.no_grad():
        return int((margin(verdict(found), batch.labels) <= 0).sum())


def _access(pruned: PrunedModel, batch: Batch, seed: int, attack: str) -> Access:
    """For one attack: what it draws depends on no other attack, so that a killed run goes on as it would have."""
    everywhere = torch.ones_like(batch.images[:, :1], dtype=torch.bool)
    # The same draws judge the points of all attacks: else the worst of many would be the unluckiest.
    verdict = mean(pruned, batch, VERDICT, seed, "verdict")
    return Access(
        "adaptive", verdict, everywhere, "redrawn", climbed=mean(pruned, batch, STEP, seed, attack, fast=True)
    )


def mean(pruned: PrunedModel, batch: Batch, count: int, seed: int, word: str, *, fast: bool = False) -> Redrawn:
    """Of so many draws, others for each word. fast: of the network's quick copy, for searches."""
    if fast:
        pruned = replace(pruned, model=quick(pruned.model))
    return Redrawn(pruned, Fresh.of(_draws(batch, seed, word)), count)


def _draws(batch: Batch, seed: int, word: str) -> Draws:
    return Draws.of(batch.ids, seed, "redrawn", word, device=batch.images.device)
