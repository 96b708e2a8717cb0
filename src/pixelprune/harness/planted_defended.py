"""A planted example behind a defense: an attack that cannot find there what is known to be there proves nothing.

As harness.planted, with the readout behind the defense: it reads the features that the classifier's last layer is given
at the end of a prediction, or the logits where the defense draws weights. The planted point and those around it are
told apart by their mean over draws; the attack climbs, and is judged, as those on the defense itself.
Source: Zimmermann et al., NeurIPS 2022, arXiv:2206.13991, section 3.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.attack import Attack
from pixelprune.attacks.balls import inside
from pixelprune.attacks.believed import Believed
from pixelprune.attacks.fresh import Fresh
from pixelprune.attacks.losses import margin
from pixelprune.attacks.mean import Drawn
from pixelprune.attacks.narrowing import narrow
from pixelprune.attacks.threat import Threat
from pixelprune.draws import Draws
from pixelprune.evaluation.check import Check, check, not_run
from pixelprune.harness.behind import Behind, Gradient
from pixelprune.harness.effort import Effort
from pixelprune.harness.planted import THRESHOLD, Planted, judged, plant
from pixelprune.harness.ways import verdict_draws
from pixelprune.models.penultimate import last_linear

TITLE = "an example planted behind the defense is found"
STEADY = 10
"""Draws whose mean is taken for a point of a defense that answers by chance."""


def examine(behind: Behind, threat: Threat, effort: Effort) -> Check:
    """E31, on all images of a batch of its own. A defense that neither draws nor searches is left to E21."""
    defense, batch, ball = behind.defense, behind.batch, threat.ball()
    if not defense.randomised and not defense.dynamic:
        return check("E31", TITLE, "it neither draws nor searches", THRESHOLD, "F", None)
    everywhere, draws = torch.ones_like(batch.images[:, :1], dtype=torch.bool), behind.streams("E31")
    goal = inside(batch.images, ball.corner(everywhere, batch.images.shape[1], draws.branch(1)), ball)
    steady = Steady(
        reading(behind, "identity"), Fresh.of(behind.streams("E31 points")), STEADY if defense.randomised else 1
    )
    planted = plant(
        steady, batch.images, everywhere, goal, ball=ball, draws=draws.branch(2), inner=effort.planted_points
    )
    if not planted.there.any():
        return not_run("E31", TITLE, f"on {len(batch)} images no point is told from those around it", THRESHOLD, "F")
    hits = reached(behind, planted, everywhere, threat, effort, draws.branch(3))
    return judged("E31", TITLE, planted, hits, severity="F")


def reached(
    behind: Behind, planted: Planted, mask: Tensor, threat: Threat, effort: Effort, draws: Draws
) -> Tensor:  # fmt: skip
    """bool (N,): APGD finds class 1 along the mean of draws, by one of the gradients that the defense offers."""
    images, labels = behind.batch.images, torch.zeros_like(behind.batch.labels)
    hits = torch.zeros_like(labels, dtype=torch.bool)
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
class Steady:
    """The mean of several draws of what is read, without a gradient."""

    read: Drawn
    fresh: Fresh
    draws: int

    def __call__(self, images: Tensor) -> Tensor:
        return torch.stack([self.read(images, self.fresh.next()) for _ in range(self.draws)]).mean(0)

    def narrow(self, index: Tensor) -> "Steady":
        return Steady(narrow(self.read, index), self.fresh.narrow(index), self.draws)


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
