"""The adaptive access of a strategy that draws its mask anew each time: no attacker knows the next mask.

Attacks climb the mean of 20 draws, other ones at each step, until it errs clearly: a lucky draw is no end. An image
is broken where the mean of 100 draws, which no attack has seen, errs. What stands is what stands against every one of
these attacks in the table of rows:
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
from pixelprune.attacks.mean import Mean, votes
from pixelprune.attacks.narrowing import Model
from pixelprune.attacks.rays import RayS
from pixelprune.attacks.replayed import Replayed
from pixelprune.attacks.square import Square
from pixelprune.attacks.stochastic.demanding import Demanding
from pixelprune.attacks.stochastic.firm import Firm, clearly
from pixelprune.attacks.threat import Threat
from pixelprune.attacks.transferred import Transferred
from pixelprune.draws import Draws
from pixelprune.evaluation.check import Check, check
from pixelprune.harness.accesses import Access
from pixelprune.harness.ladder import Batch, climb
from pixelprune.harness.redrawn import Redrawn
from pixelprune.models.quick import quick
from pixelprune.pruning import PrunedModel

STEP, VERDICT = 20, 100
"""Draws behind each answer that an attack gets, and behind each verdict."""
KNOWN = 5
"""Draws that are attacked by themselves."""
TITLE = "more draws a step find no more, and a draw that is known is no harder"
THRESHOLD = "0.5 % of the images, or 1"


def measure(
    batch: Batch, pruned: PrunedModel, full: Model, threats: Mapping[str, Threat],
    replayed: Mapping[tuple[str, str], Tensor], *, steps: int, queries: int, seed: int, folder: Path,
) -> tuple[pandas.DataFrame, dict[tuple[str, str], Tensor]]:  # fmt: skip
    """As adaptive.measure, for a map that answers by chance."""
    tables, worst = [], {}
    for key, threat in threats.items():
        searches: dict[str, Attack] = {
            "mean_ce": APGD(steps=steps), "mean_dlr": APGD(steps=steps, loss="dlr"),
            "square": Square(queries=queries), "rays": RayS(queries=queries),
        }  # fmt: skip
        attacks: dict[str, Attack] = {
            name: _believed(search, STEP, pruned, batch, seed, f"judge {name}") for name, search in searches.items()
        }
        attacks["transferred"] = Transferred(full, APGD(steps=steps), unasked=True)
        attacks |= {
            f"replayed_{access}": Replayed(points, unasked=True)
            for (access, of), points in replayed.items()
            if of == key
        }
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
    unknown, more = (_climbed(pruned, some, threat, count, steps, seed) for count in (STEP, 2 * STEP))
    once, twice = (_right(_each(pruned, some, found, seed, "plateau").exp().mean(0), some) for found in (unknown, more))
    alone = _share(_each(pruned, some, unknown, seed, "alone"), some)
    known = sum(_known(pruned, some, threat, steps, seed, number) for number in range(KNOWN)) / (KNOWN * len(some))
    each = _each(pruned, batch, points, seed, "votes")
    limit = max(1, round(0.005 * len(some)))
    found = (
        f"of {len(some)} images {once} stand at {STEP} draws a step, {twice} at {2 * STEP}; a draw is right on "
        f"{alone:.0%} of the points made without knowing it, on {known:.0%} of those made against it; at the worst "
        f"points of {len(batch)}, {_right(each.exp().mean(0), batch)} stand by the mean of {VERDICT} draws, "
        f"{_right(votes(each), batch)} by their majority, and a draw is right on {_share(each, batch):.1%}"
    )
    return check("E16", TITLE, found, THRESHOLD, "W", once - twice <= limit and known - alone <= limit / len(some))


def _climbed(pruned: PrunedModel, batch: Batch, threat: Threat, count: int, steps: int, seed: int) -> Tensor:
    """The points of APGD along the mean of so many draws."""
    word, everywhere = f"E16 {count}", torch.ones_like(batch.images[:, :1], dtype=torch.bool)
    attack = _believed(APGD(steps=steps), count, pruned, batch, seed, "E16 judge")
    return attack(
        mean(pruned, batch, count, seed, word, fast=True), batch.images, batch.labels,
        ball=threat.ball(), mask=everywhere, draws=_draws(batch, seed, word),
    )  # fmt: skip


def _believed(attack: Attack, draws: int, pruned: PrunedModel, batch: Batch, seed: int, word: str) -> Believed:
    """The attack, which goes on until the mean of so many draws errs clearly, and so does that of the judge's."""
    # RayS is told classes, no numbers that could be clear.
    demanding = attack if isinstance(attack, RayS) else Demanding(attack, Firm, clearly(draws))
    judge = Firm(mean(pruned, batch, VERDICT, seed, word), batch.labels, clearly(VERDICT))
    return Believed(demanding, judge)


def _known(pruned: PrunedModel, batch: Batch, threat: Threat, steps: int, seed: int, number: int) -> int:
    """How many images stand where the attacker knows the draw that will be."""
    draws = _draws(batch, seed, f"E16 known {number}")
    model = pruned.frozen(pruned.mask(batch.images, draws.integers().cpu().numpy()))
    everywhere = torch.ones_like(batch.images[:, :1], dtype=torch.bool)
    found = APGD(steps=steps)(
        model, batch.images, batch.labels, ball=threat.ball(), mask=everywhere, draws=draws.branch(0)
    )
    with torch.no_grad():
        return _right(model(found), batch)


def _each(pruned: PrunedModel, batch: Batch, points: Tensor, seed: int, word: str) -> Tensor:
    """Log-probabilities of fresh draws at these points, float32 (VERDICT, N, K)."""
    with torch.no_grad():
        return mean(pruned, batch, VERDICT, seed, f"E16 {word}").each(points)


def _right(scores: Tensor, batch: Batch) -> int:
    return int((margin(scores, batch.labels) <= 0).sum())


def _share(each: Tensor, batch: Batch) -> float:
    """Of all draws at all images, how many are right."""
    return (each.argmax(2) == batch.labels).float().mean().item()


def _access(pruned: PrunedModel, batch: Batch, seed: int, attack: str) -> Access:
    """For one attack: what it draws depends on no other attack, so that a killed run goes on as it would have."""
    everywhere = torch.ones_like(batch.images[:, :1], dtype=torch.bool)
    # The same draws judge the points of all attacks: else the worst of many would be the unluckiest.
    verdict = mean(pruned, batch, VERDICT, seed, "verdict")
    return Access(
        "adaptive", verdict, everywhere, "redrawn", climbed=mean(pruned, batch, STEP, seed, attack, fast=True)
    )


def mean(pruned: PrunedModel, batch: Batch, count: int, seed: int, word: str, *, fast: bool = False) -> Mean:
    """Of so many draws, others for each word. fast: of the network's quick copy, for searches."""
    if fast:
        pruned = replace(pruned, model=quick(pruned.model))
    return Mean(Redrawn(pruned), Fresh.of(_draws(batch, seed, word)), count)


def _draws(batch: Batch, seed: int, word: str) -> Draws:
    return Draws.of(batch.ids, seed, "redrawn", word, device=batch.images.device)
