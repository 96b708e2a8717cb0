"""Planted examples behind another mask: adaptive attacks that cannot move one to where a point is known prove nothing.

As harness.planted, on the whole pipeline: every point is seen with the mask that it gets, and the planted one is the
random corner of the ball, of a few, that moves the mask farthest. The attacks are those of harness.adaptive.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from pixelprune.attacks.balls import inside
from pixelprune.attacks.in_turn import InTurn
from pixelprune.attacks.narrowing import narrow
from pixelprune.attacks.threat import Threat
from pixelprune.draws import Draws
from pixelprune.evaluation.check import Check, check, not_run
from pixelprune.harness.adaptive import motion, ways
from pixelprune.harness.ladder import Batch
from pixelprune.harness.pipeline import Pipeline
from pixelprune.harness.planted import THRESHOLD, found, judged, plant
from pixelprune.models.penultimate import penultimate
from pixelprune.pruning import PrunedModel
from pixelprune.selecting import Rank

TITLE = "an example planted behind another mask is found"
CORNERS = 8
"""Of which one is planted."""
INNER = 499
"""Fewer than for a mask that stays: a mask has to be made for each."""


def examine(
    batch: Batch, network: nn.Module, pruned: PrunedModel, smooth: Rank, threat: Threat, *,
    steps: int, queries: int, seed: int,
) -> Check:  # fmt: skip
    """E30, on all images of the batch whose mask a corner moves. network: that of `pruned`."""
    try:
        seen = replace(pruned, model=penultimate(network))
    except ValueError as error:
        return not_run("E30", TITLE, str(error), THRESHOLD, "W")
    ball, draws = threat.ball(), Draws.of(batch.ids, seed, "checks", "E30", device=batch.images.device)
    goal, stays = farthest(pruned, batch, threat, draws.branch(0))
    some = (stays < 1).nonzero().squeeze(1)
    if len(some) == 0:
        found_none = f"{CORNERS} corners of the ball move none of {len(batch)} masks"
        return check("E30", TITLE, found_none, THRESHOLD, "W", None)
    images, draws = batch.images[some], draws.narrow(some)
    everywhere = torch.ones_like(images[:, :1], dtype=torch.bool)
    straight = Pipeline(seen, batch.ids[some.cpu().numpy()])
    planted = plant(straight, images, everywhere, goal[some], ball=ball, draws=draws.branch(1), inner=INNER)
    hits = torch.zeros_like(planted.there)
    for number, (pipeline, attacks) in enumerate(ways(straight, smooth, steps, queries)):
        left = (~hits).nonzero().squeeze(1)
        if len(left) == 0:
            break
        readout = narrow(replace(planted.readout, features=pipeline), left)
        attack = InTurn(tuple(narrow(attack, left) for attack in attacks.values()))
        hits[left] = found(
            readout,
            images[left],
            everywhere[left],
            attack=attack,
            ball=ball,
            draws=draws.branch(2 + number).narrow(left),
        )
    return judged("E30", TITLE, planted, hits, severity="W")


def farthest(pruned: PrunedModel, batch: Batch, threat: Threat, draws: Draws) -> tuple[Tensor, Tensor]:
    """For each image the corner that moves its mask farthest, and how much of the mask stays, float32 (N,)."""
    everywhere, channels = torch.ones_like(batch.images[:, :1], dtype=torch.bool), batch.images.shape[1]
    ball, goal, least = threat.ball(), batch.images.clone(), torch.ones(len(batch), device=batch.images.device)
    for _ in range(CORNERS):
        points = inside(batch.images, ball.corner(everywhere, channels, draws), ball)
        stays = motion(pruned, batch, points)
        better = stays < least
        goal[better], least[better] = points[better], stays[better]
    return goal, least
