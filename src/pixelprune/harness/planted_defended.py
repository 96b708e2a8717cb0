"""A planted example behind a defense: an attack that cannot find there what is known to be there proves nothing.

As harness.planted, with the readout behind the defense: it reads the features that the classifier's last layer is given
at the end of a prediction, or the logits where the defense draws weights. The planted point and those around it are
told apart by their mean over draws. The attack climbs as those on the defense itself, and is content with any error.
Source: Zimmermann et al., NeurIPS 2022, arXiv:2206.13991, section 3.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.attack import Attack
from pixelprune.attacks.balls import Ball, inside
from pixelprune.attacks.believed import Believed
from pixelprune.attacks.losses import margin
from pixelprune.attacks.mean import Drawn
from pixelprune.attacks.narrowing import narrow
from pixelprune.attacks.threat import Threat
from pixelprune.draws import Draws
from pixelprune.evaluation.check import Check, check, not_run
from pixelprune.harness.behind import Behind, Gradient
from pixelprune.harness.effort import Effort
from pixelprune.harness.planted import RADIUS, RIDGE, THRESHOLD, Planted, around, judged
from pixelprune.harness.ways import verdict_draws
from pixelprune.models.penultimate import last_linear

TITLE = "an example planted behind the defense is found"
COMMON, MANY = 10, 200
"""Draws that the planted point and those around it share: what they have in common cannot tell them apart. And draws at
the clean image, for the mean and the spread of what is read there."""
COMMON_SEARCHES, MANY_SEARCHES = 3, 30
"""The same, of a defense that searches: each draw is a search."""
SURE = 3
"""Standard errors between the planted point and the boundary, at least."""
GRAINS = (1, 4, 10**6)
"""Sides of the squares of one color of the corners that are tried: what is fine, a defense may blur away."""


def examine(behind: Behind, threat: Threat, effort: Effort) -> Check:
    """E31, on all images of a batch of its own. Not of one that neither draws nor searches."""
    defense = behind.defense
    if not defense.randomised and not defense.dynamic:
        return check("E31", TITLE, "it neither draws nor searches", THRESHOLD, "W", None)
    planted = plant_behind(behind, threat, effort)
    if not planted.there.any():
        found = f"on none of {len(behind.batch)} images is a point told from those around it"
        return not_run("E31", TITLE, found, THRESHOLD, "W")
    hits = reached(behind, planted, threat, effort)
    return judged("E31", TITLE, planted, hits, severity="W")


def plant_behind(behind: Behind, threat: Threat, effort: Effort) -> Planted["Readout"]:
    """Of a few corners of the ball, that one which stands out most from the points around the image and from chance.

    As planted.plant, but what is read is compared with what the same draws read at the clean image. It is there where
    the verdict's draws, which are others, call it 1 and the clean image 0.
    """
    images, mask = behind.batch.images, torch.ones_like(behind.batch.images[:, :1], dtype=torch.bool)
    ball, draws = threat.ball(), behind.streams("E31")
    read, (common, many), decide = reading(behind, "identity"), _draws(behind), verdict_draws(behind.defense, effort)
    same, fresh = Common(read, behind.streams("E31 common"), common), behind.streams("E31 many")
    with torch.no_grad():
        clean = torch.stack([read(images, fresh.branch(number)).float() for number in range(many)])
        start = same(images)
        inner, outer = (
            torch.cat(list(around(same, images, mask, ball=part, draws=streams, count=effort.planted_points))) - start
            for part, streams in ((ball.scaled(RADIUS), draws.branch(0)), (ball, draws.branch(1)))
        )
        goals = torch.stack(list(corners(images, ball, mask, draws)))
        moves = torch.stack([same(goal) - start for goal in goals])
        which, weight = _direction(moves, _spread(inner) + _spread(clean) / decide)
        everybody = torch.arange(len(images), device=images.device)
        reach, most = (moves[which, everybody] * weight).sum(1), (inner * weight).sum(2).amax(0).clamp(min=0)
        at_clean = (clean * weight).sum(2)
        readout = Readout(read, weight, at_clean.mean(0) + (most + reach) / 2)
        verdicts = [
            margin(behind.of(readout, decide, "E31 verdict")(points), torch.zeros_like(behind.batch.labels)) > 0
            for points in (images, goals[which, everybody])
        ]
    # So far from the boundary that the mean of the verdict's draws errs on it once in a thousand times at most.
    sure = SURE * at_clean.std(0, correction=0) / decide**0.5
    there = ((reach - most) / 2 > sure) & ~verdicts[0] & verdicts[1]
    return Planted(readout, there, trivial=(outer * weight).sum(2).amax(0) > (most + reach) / 2)


def _draws(behind: Behind) -> tuple[int, int]:
    """Those that points share, and those at the clean image."""
    if not behind.defense.randomised:
        return 1, 1
    return (COMMON_SEARCHES, MANY_SEARCHES) if behind.defense.dynamic else (COMMON, MANY)


def _direction(moves: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
    """Which of the moves, float32 (K, N, D), stands out most: int64 (N,); and along what, float32 (N, D) of norm 1."""
    size = spread.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12)
    ridge = RIDGE * size[:, None, None] * torch.eye(spread.shape[1], device=spread.device)
    weights = torch.linalg.solve(spread + ridge, moves.permute(1, 2, 0)).permute(2, 0, 1)
    which = (weights * moves).sum(2).argmax(0)
    weight = weights[which, torch.arange(len(which), device=which.device)]
    return which, weight / weight.norm(dim=1, keepdim=True).clamp(min=1e-12)


def corners(images: Tensor, ball: Ball, mask: Tensor, draws: Draws) -> Iterator[Tensor]:
    """One of each grain, float32 (N, C, H, W)."""
    rows, columns = (torch.arange(size, device=images.device) for size in images.shape[2:])
    for number, grain in enumerate(GRAINS):
        fine = ball.corner(mask, images.shape[1], draws.branch(10 + number))
        coarse = fine[:, :, rows // grain * min(grain, len(rows))][..., columns // grain * min(grain, len(columns))]
        yield inside(images, ball.eps * ball.steepest(coarse), ball)


def _spread(values: Tensor) -> Tensor:
    """Covariance of float32 (K, N, D) over the first axis, around its mean: (N, D, D)."""
    values = values - values.mean(0)
    return torch.einsum("kni,knj->nij", values, values) / len(values)


def reached(behind: Behind, planted: Planted["Readout"], threat: Threat, effort: Effort) -> Tensor:
    """bool (N,): APGD finds class 1 along the mean of draws, by one of the gradients that the defense offers."""
    images, labels = behind.batch.images, torch.zeros_like(behind.batch.labels)
    hits, mask = torch.zeros_like(labels, dtype=torch.bool), torch.ones_like(images[:, :1], dtype=torch.bool)
    draws = behind.streams("E31 search")
    for gradient in ("identity", "unrolled") if behind.defense.dynamic else ("identity",):
        left = (~hits).nonzero().squeeze(1)
        if len(left) == 0:
            break
        readout = Readout(reading(behind, gradient), planted.readout.weight, planted.readout.bias)
        model, judge, verdict = (
            narrow(behind.of(readout, count, f"E31 {word} {gradient}"), left)
            for word, count in (
                ("search", effort.search_draws if behind.defense.dynamic else effort.draws[0]),
                ("judge", verdict_draws(behind.defense, effort)),
                ("verdict", verdict_draws(behind.defense, effort)),
            )
        )
        apgd: Attack = APGD(steps=effort.steps)
        attack = Believed(apgd, judge, effort.tries) if behind.defense.randomised else apgd
        points = attack(
            model, images[left], labels[left], ball=threat.ball(), mask=mask[left], draws=draws.narrow(left)
        )
        with torch.no_grad():
            hits[left] = margin(verdict(points), labels[left]) > 0
    return hits


def reading(behind: Behind, gradient: Gradient) -> Drawn:
    """images and a stream for each -> what is read behind the defense, (N, D), narrowed as models are."""
    drawn = behind.defense.around(behind.network, behind.learned, gradient)
    try:
        last = None if behind.defense.posterior else last_linear(behind.network)
    except ValueError:
        last = None
    if last is None:
        return behind.coupled(drawn)

    def features(images: Tensor, draws: Draws) -> Tensor:
        caught: dict[str, Tensor] = {}
        hook = last.register_forward_pre_hook(lambda module, inputs: caught.update(last=inputs[0]))
        try:
            logits = drawn(images, draws)
        finally:
            hook.remove()
        seen = caught.get("last", logits)  # a defense may predict with a copy of the network
        return seen.flatten(1) if len(seen) == len(images) else logits

    return behind.coupled(features)


@dataclass(frozen=True)
class Common:
    """The mean of several draws of what is read, without a gradient: the same draws for every point of an image."""

    read: Drawn
    streams: Draws
    draws: int

    def __call__(self, images: Tensor) -> Tensor:
        """float32 (N, D)"""
        return torch.stack([self.read(images, self.streams.branch(k)).float() for k in range(self.draws)]).mean(0)

    def narrow(self, index: Tensor) -> "Common":
        return Common(narrow(self.read, index), self.streams.narrow(index), self.draws)


@dataclass(frozen=True)
class Readout:
    """As planted.Readout, of one draw: images and a stream for each -> logits (N, 2)."""

    read: Drawn
    weight: Tensor
    """float32 (N, D)"""
    bias: Tensor
    """float32 (N,)"""

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        score = (self.read(images, draws).float() * self.weight).sum(1) - self.bias
        return torch.stack([-score, score], 1)

    def narrow(self, index: Tensor) -> "Readout":
        return Readout(narrow(self.read, index), self.weight[index], self.bias[index])
