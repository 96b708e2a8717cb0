"""Fast adaptive boundary attack, targeted: the smallest perturbation that leads to a class, by way of planes.

At each point the boundary to the target class is taken for a plane; the next point lies a little beyond it, between the
nearest point of the plane to this one and to the clean image. A point that is adversarial is drawn back to the image.
Source: Croce & Hein, "Minimally distorted adversarial examples with a fast adaptive boundary attack", ICML 2020,
algorithm 1, arXiv:1907.02044; targeted as in AutoAttack (arXiv:2003.01690). Ours keeps the plane on the mask.
"""

from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pixelprune.attacks.ascent import Party, muster_for
from pixelprune.attacks.balls import Ball, inside
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import margin, margin_to
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.plane import onto_plane
from pixelprune.attacks.targets import goals_of
from pixelprune.attacks.twin import error, exactly, roughly, unsure
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws
from pixelprune.options import Options

OVERSHOOT = 1.05
MOST_BIAS = 0.1
"""Largest weight of the plane's point that is nearest to the clean image."""
DRAWN_BACK = 0.9
TINY = 1e-8


class FAB(Options):
    name: Literal["fab"] = "fab"
    steps: int = Field(100, ge=1, description="Planes for one target class.")
    targets: int = Field(9, ge=1, description="Wrong classes to aim at, by their logit on the clean image.")

    def __call__(
        self,
        model: Model,
        images: Tensor,
        labels: Tensor,
        *,
        ball: Ball,
        mask: Tensor,
        draws: Draws,
        estimator: Estimator = PLAIN,
    ) -> Tensor:
        """Adversarial images, float32 (N, C, H, W) in [0, 1]; shapes and guarantees as in PGD.

        Passes: 1 forward an image; for each target, tried TOGETHER, at most 3 steps forward (at the plane's point, at
        the one beyond it, inside the ball) and as many backward as steps.
        With a copy of a model, twice that for images that the copy leaves so near the boundary that it could err there.
        """
        worst, exact = Worst(model, images, labels, mask), exactly(model)
        scale = worst.logits.abs().amax(1)
        # Where the copy puts the boundary farther out than the model does: by its error over the slope, which is the
        # clean margin over the distance.
        beyond = (error(model) * scale / worst.margins.abs().clamp(min=TINY)).clamp(max=1)
        for goals in goals_of(worst, labels, self.targets, draws):
            party = muster_for(roughly(model), margin_to, goals, images, labels, mask)
            self._approach(party, exact, worst, ball, estimator, reach=ball.eps * (1 + beyond))
        for goals in goals_of(worst, labels, self.targets, draws):
            near = unsure(model, worst.margins, scale)
            left = [replace(goal, index=goal.index[near[goal.index]]) for goal in goals]
            if len(left[0].index):
                party = muster_for(exact, margin_to, left, images, labels, mask)
                self._approach(party, exact, worst, ball, estimator, reach=torch.full_like(scale, ball.eps))
        return worst.points

    def _approach(
        self, party: Party, exact: Model, worst: Worst, ball: Ball, estimator: Estimator, *, reach: Tensor
    ) -> None:
        """exact: of the whole batch; it judges the points that are not farther than reach (N,), drawn into the ball."""
        points = party.images
        for _ in range(self.steps):
            grad, logits = estimator.gradient(party.model, points, party.labels, party.loss, party.draws)
            points = _beyond(points, party, grad * party.mask, logits, ball)
            with torch.no_grad():
                margins = margin(party.model(points), party.labels)
            delta = points - party.images
            near = ball.length(delta) <= reach[party.index]
            if near.any():
                index, candidates = party.index[near], inside(party.images[near], delta[near], ball)
                with torch.no_grad():
                    found = margin(narrow(exact, index)(candidates), party.labels[near])
                worst.see(index, candidates, found)
            # Before the next gradient, so that none is taken at a point that is left.
            back = (margins > 0).view(-1, 1, 1, 1)
            points = torch.where(back, party.images + DRAWN_BACK * delta, points)
            stands = worst.stands(party.index)
            if not stands.all():
                party, points = party.narrow(stands), points[stands]
            if len(party.index) == 0:
                return


def _beyond(points: Tensor, party: Party, weight: Tensor, logits: Tensor, ball: Ball) -> Tensor:
    """A little beyond the plane on which the target's logit equals the right one: algorithm 1, line 8."""
    below = -party.loss(logits, party.labels)
    way = (weight * (party.images - points)).sum((1, 2, 3))
    here = onto_plane(points, weight, below, ball)
    home = onto_plane(party.images, weight, below - way, ball)
    from_here, from_home = ball.length(here), ball.length(home)
    bias = (from_here / (from_here + from_home).clamp(min=TINY)).clamp(0, MOST_BIAS).view(-1, 1, 1, 1)
    mixed = (1 - bias) * (points + OVERSHOOT * here) + bias * (party.images + OVERSHOOT * home)
    # A mean of two equal numbers rounds: a closed pixel keeps its own.
    return torch.where(party.mask, mixed.clamp(0, 1), party.images)
