"""Checks that ask the model: could the attack have been too weak, or the model a trap for gradients?

Each check takes a Subject and returns what it found. Sources: Carlini et al., "On Evaluating Adversarial Robustness",
arXiv:1902.06705 (E1, E6 to E10, E20); Croce and Hein, ICML 2020, arXiv:2003.01690 (E11, E13, E15, E17); Athalye et al.,
ICML 2018, arXiv:1802.00420 (E10 to E12); Pintor et al., "Indicators of Attack Failure", NeurIPS 2022, arXiv:2106.09947
(E6, E18). Those that need only the table of rows are in evaluation.row_checks.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pixelprune.attacks.attack import Attack
from pixelprune.attacks.balls import LinfBall, inside
from pixelprune.attacks.in_turn import InTurn
from pixelprune.attacks.losses import cross_entropy, margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.noise import Noise
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.rays import RayS
from pixelprune.attacks.square import Square
from pixelprune.attacks.threat import Threat
from pixelprune.attacks.twin import Twin, settled
from pixelprune.draws import Draws
from pixelprune.evaluation.check import Check, Severity, check, not_run
from pixelprune.fills.fill import FillOptions
from pixelprune.harness.difference import difference
from pixelprune.harness.planted import THRESHOLD, found, judged, plant
from pixelprune.models.penultimate import penultimate
from pixelprune.models.quick import error, quick
from pixelprune.pruning import FrozenModel

HALF_A_POINT = 0.005
PIXELWISE_ZERO = 0.5
STEPS = (1e-4, 1e-5, 1e-6)
"""Of differences. A large one crosses kinks of a deep network; in a small one, rounding hides a loss close to zero."""


@dataclass(frozen=True)
class Subject:
    """A run under its headline access and threat, on a few images. Tensors as in attacks."""

    network: nn.Module
    fill: FillOptions
    ids: NDArray[np.int64]
    images: Tensor
    labels: Tensor
    mask: Tensor
    """bool (N, 1, H, W): kept by the model and open to the attacker."""
    threat: Threat
    ladder: Mapping[str, Attack]
    stands: Tensor
    """bool (N,): what the whole ladder leaves standing at the headline eps."""
    queries: int
    """Of attacks without gradients."""
    pgd: PGD
    behaviour: Literal["static", "dynamic", "random"]
    transferred: Tensor | None
    """The same images attacked on the full model, on the same pixels; None for the full model itself."""
    adaptive: float | None
    """Mean share of the mask that stayed under the adaptive access; None where no such attack ran."""
    seed: int
    pipeline: Model | None = None
    """The same images -> logits with their masks made anew at each call; None where nothing can make them."""

    @property
    def model(self) -> Model:
        return FrozenModel(self.network, self.mask, self.fill)

    @cached_property
    def search(self) -> Twin:
        """What attacks are given, as in the ladder; verdicts are those of `model`."""
        copy = FrozenModel(quick(self.network), self.mask, self.fill)
        return Twin(self.model, copy, error(self.images.device))

    def draws(self, word: str) -> Draws:
        return Draws.of(self.ids, self.seed, "checks", word, device=self.images.device)

    def standing(self, attack: Attack, word: str, model: Model | None = None, eps: float | None = None) -> Tensor:
        """bool (N,): images that are right on the point that the attack returns."""
        model = self.search if model is None else model
        ball = LinfBall(eps=0) if eps == 0 else self.threat.ball(eps)
        points = settled(attack, model, self.images, self.labels, ball=ball, mask=self.mask, draws=self.draws(word))
        return self.right(points)

    def right(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return margin(self.model(images), self.labels) <= 0

    def broken_beyond(self, attack: Attack, word: str) -> int:
        """How many of the images that the ladder leaves standing fall to this attack."""
        left = self.stands.nonzero().squeeze(1)
        if len(left) == 0:
            return 0
        points = settled(
            attack, narrow(self.search, left), self.images[left], self.labels[left], ball=self.threat.ball(),
            mask=self.mask[left], draws=self.draws(word).narrow(left),
        )  # fmt: skip
        with torch.no_grad():
            return int((margin(narrow(self.model, left)(points), self.labels[left]) > 0).sum())

    @property
    def whole(self) -> Attack:
        """All attacks of the ladder as one."""
        return InTurn(tuple(self.ladder.values()))

    @property
    def left(self) -> str:
        return f"of the {int(self.stands.sum())} images that the ladder leaves standing"


def run(subject: Subject) -> list[Check]:
    return [examine(subject) for examine in CHECKS]


def zero_eps(s: Subject) -> Check:
    clean = s.right(s.images)
    wrong = sum(int((s.standing(attack, "E1", eps=0) != clean).sum()) for attack in s.ladder.values())
    found = f"{wrong} of {len(clean)} images change their verdict"
    return check("E1", "eps = 0 changes nothing", found, "0 images", "F", wrong == 0)


def more_steps(s: Subject) -> Check:
    steps = s.pgd.steps
    few, many = (s.standing(s.pgd.model_copy(update={"steps": count}), "E6") for count in (steps, 2 * steps))
    return _plateau("E6", "twice the steps find no more", f"{steps}", f"{2 * steps} steps", few, many)


def more_restarts(s: Subject) -> Check:
    few, many = (s.standing(s.pgd.model_copy(update={"restarts": count}), "E7") for count in (5, 10))
    return _plateau("E7", "more restarts find no more", "5", "10 restarts", few, many)


def black_box(s: Subject) -> Check:
    """Square from logits and RayS from classes, on the images that the ladder leaves standing."""
    attacks: tuple[Attack, ...] = (Square(queries=s.queries), RayS(queries=s.queries))
    broken = [s.broken_beyond(attack, f"E9 {attack.name}") for attack in attacks]
    found = f"{s.left}: {broken[0]} fall to squares, {broken[1]} to rays ({s.queries:,} queries)"
    limit = max(1, round(0.002 * len(s.labels)))
    title = "no attack without gradients is stronger"
    return check("E9", title, found, f"{limit} image", "F", max(broken) <= limit)


def random_search(s: Subject) -> Check:
    """1,000 random corners on the images that the ladder leaves standing."""
    broken = s.broken_beyond(Noise(draws=1000, corners=True), "E10")
    return check("E10", "random search finds nothing new", f"{s.left}: {broken} fall", "0 images", "F", broken == 0)


def zero_gradients(s: Subject) -> Check:
    start = (s.images + s.threat.ball().sample(s.mask, 3, s.draws("E11"))).clamp(0, 1).requires_grad_()
    (grad,) = torch.autograd.grad(cross_entropy(s.model(start), s.labels).sum(), start)
    open_pixels = s.mask.expand_as(grad)
    somewhere = s.mask.flatten(1).any(1)  # an image of which nothing is kept has no gradient, and hides none
    dead = int((somewhere & ((grad == 0) | ~open_pixels).flatten(1).all(1)).sum())
    zeros = (((grad == 0) & open_pixels).flatten(1).sum(1) / open_pixels.flatten(1).sum(1).clamp(min=1)).mean().item()
    found = f"{dead} of {len(grad)} images without a gradient, {zeros:.1%} of open coordinates exactly zero"
    title = "gradients reach the open pixels"
    severity: Severity = "F" if dead else "W"
    passes = dead == 0 and zeros <= PIXELWISE_ZERO
    return check("E11", title, found, "0 images; at most 50 % of coordinates", severity, passes)


def real_gradients(s: Subject) -> Check:
    """Central differences in float64 along 16 random open directions, each image at the step that serves it best."""
    model = FrozenModel(copy.deepcopy(s.network).double(), s.mask, s.fill)
    images, draws = s.images.double(), s.draws("E12")

    def loss(points: Tensor) -> Tensor:
        return functional.cross_entropy(model(points), s.labels, reduction="none")  # in float64, as attacks' is not

    start = images.clone().requires_grad_()
    (grad,) = torch.autograd.grad(loss(start).sum(), start)
    analytic, numeric = [], []
    for _ in range(16):
        direction = draws.normal(*images.shape[1:]).double() * s.mask
        direction /= direction.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)
        with torch.no_grad():
            slopes = [(loss(images + h * direction) - loss(images - h * direction)) / (2 * h) for h in STEPS]
        numeric.append(torch.stack(slopes))
        analytic.append((grad * direction).flatten(1).sum(1))
    a, n = torch.stack(analytic), torch.stack(numeric, 1)  # directions x images, steps x directions x images
    error = (a - n).norm(dim=1) / torch.maximum(a.norm(dim=0), n.norm(dim=1)).clamp(min=1e-9)
    bad = (error.amin(0) > 1e-2).float()
    found = f"relative error at most 1 % on {1 - bad.mean().item():.0%} of {len(bad)} images"
    passes = bad.sum().item() <= max(1, 0.05 * len(bad))  # one may sit on a kink, where there is no gradient
    return check("E12", "gradients agree with differences", found, "95 % of the images", "F", passes)


def logits(s: Subject) -> Check:
    with torch.no_grad():
        out = s.model(s.images)
    sums = (out.sum(1) - 1).abs().max().item()
    shares = out.min().item() >= -1e-5 and out.max().item() <= 1 + 1e-5 and sums <= 1e-5
    found = "rows are probabilities" if shares else f"range {out.min().item():.1f} to {out.max().item():.1f}"
    return check("E13", "the model returns logits", found, "not probabilities", "F", not shares)


def saturation(s: Subject) -> Check:
    with torch.no_grad():
        sure = (functional.softmax(s.model(s.images), 1).amax(1) > 1 - 1e-6).float().mean().item()
    scales = (0.01, 1.0, 100.0)
    counts = [int(s.standing(s.whole, "E14", _scaled(s.search, scale)).sum()) for scale in scales]
    spread = max(counts) - min(counts)
    stand = ", ".join(f"{count} at {scale:g} times" for count, scale in zip(counts, scales))
    found = f"{sure:.1%} saturated; of {len(s.images)} images stand: {stand} the logits"
    limit = _tolerance(len(s.images))
    return check(
        "E14", "the scale of the logits does not matter", found, f"spread of {limit} images", "W", spread <= limit
    )


def repeatable(s: Subject) -> Check:
    """Of the whole pipeline as well: a strategy is what it is declared to be."""
    title = "the model is deterministic, or declared random"
    frozen, whole = _spread(s.model, s.images, 5), _spread(s.pipeline or s.model, s.images, 2)
    if s.behaviour == "random" and frozen <= 1e-4:
        found = f"declared; with the masks drawn anew, normalized logits differ by {whole:.1g}"
        return check("E15", title, found, "above 1e-4", "W", whole > 1e-4)
    found = f"normalized logits differ by {frozen:.1g} over 5 passes, with the masks made anew by {whole:.1g}"
    return check("E15", title, found, "1e-4", "F", max(frozen, whole) <= 1e-4)


def dynamic(s: Subject) -> Check:
    title = "the mask does not answer the attacker"
    if s.behaviour == "static":
        return check("E17", title, "the mask does not depend on the image", "none, or an adaptive attack", "W", True)
    if s.behaviour == "random":
        return check("E17", title, "the mask is drawn: see E15, E16", "none, or an adaptive attack", "W", None)
    if s.adaptive is None:
        found = "the mask is computed from the image; here it is frozen, no adaptive attack ran"
    else:
        found = "the mask is computed from the image; adaptive attacks ran, see the access `adaptive`"
    return check("E17", title, found, "none, or an adaptive attack", "W", s.adaptive is not None)


def stable(s: Subject) -> Check:
    """Mean relative change of the loss over 100 uniform points of half the radius, each capped at 1."""
    ball, draws = s.threat.ball(s.threat.headline / 2), s.draws("E18")
    with torch.no_grad():
        base = cross_entropy(s.model(s.images), s.labels)
        change = torch.zeros_like(base)
        for _ in range(100):
            points = (s.images + ball.sample(s.mask, 3, draws)).clamp(0, 1)
            loss = cross_entropy(s.model(points), s.labels)
            change += ((loss - base).abs() / base.clamp(min=1e-2)).clamp(max=1) / 100
    mean = change.mean().item()
    return check("E18", "the loss is smooth around the images", f"relative change {mean:.3f}", "0.10", "W", mean <= 0.1)


def transfer(s: Subject) -> Check:
    title = "attacks on the full model break no more"
    if s.transferred is None:
        return check("E20", title, "this is the full model", "0.2 % of the images", "F", None)
    extra, limit = int((s.stands & ~s.right(s.transferred)).sum()), max(1, round(0.002 * len(s.labels)))
    found = f"{s.left}: {extra} fall to points made on the full model"
    return check("E20", title, found, f"{limit} image", "F", extra <= limit)


def planted(s: Subject) -> Check:
    """The whole ladder is asked to find it, on images of which some pixel is kept."""
    title = "a planted adversarial example is found"
    some = s.mask.flatten(1).any(1).nonzero().squeeze(1)
    if len(some) == 0:
        return check("E21", title, "no image keeps a pixel", THRESHOLD, "F", None)
    try:
        features = penultimate(s.network)
    except ValueError as error:
        return not_run("E21", title, str(error), THRESHOLD, "F")
    images, mask, ball, draws = s.images[some], s.mask[some], s.threat.ball(), s.draws("E21").narrow(some)
    goal = inside(images, ball.corner(mask, images.shape[1], draws.branch(1)), ball)
    seen = FrozenModel(features, mask, s.fill)
    planting = plant(seen, images, mask, goal, ball=ball, draws=draws)
    hits = found(planting.readout, images, mask, attack=s.whole, ball=ball, draws=draws.branch(0))
    return judged("E21", title, planting, hits, severity="F")


def mask_moves(s: Subject) -> Check:
    """An adaptive attack that leaves every mask as it was has not tried what it is for."""
    title, threshold = "adaptive attacks move the mask", "a mean intersection over union below 1"
    if s.adaptive is None:
        return check("E27", title, "no adaptive attack", threshold, "W", None)
    found = f"intersection over union of the masks {s.adaptive:.3f}"
    return check("E27", title, found, threshold, "W", s.adaptive < 1)


def constant_mask(s: Subject) -> Check:
    title = "pixels outside the mask do not matter"
    if s.behaviour != "static" or s.fill.reads != "nothing":
        return check("E25", title, "the mask or the fill reads the image", "equal bit for bit", "F", None)
    noise = s.draws("E25").uniform(*s.images.shape[1:])
    model = s.pipeline or s.model  # with the masks made anew, a map that says it is static and is not gives itself away
    with torch.no_grad():
        differ = not torch.equal(model(s.images + noise), model(s.images + noise * s.mask))
    found = "logits differ" if differ else "logits are equal"
    return check("E25", title, found, "equal bit for bit", "F", not differ)


CHECKS: tuple[Callable[[Subject], Check], ...] = (
    zero_eps, more_steps, more_restarts, black_box, random_search, zero_gradients, real_gradients, logits, saturation,
    repeatable, dynamic, stable, transfer, planted, constant_mask, mask_moves,
)  # fmt: skip


@dataclass(frozen=True)
class _Scaled:
    model: Model
    scale: float

    def __call__(self, images: Tensor) -> Tensor:
        return self.model(images) * self.scale

    def narrow(self, index: Tensor) -> "_Scaled":
        return _Scaled(narrow(self.model, index), self.scale)


def _scaled(twin: Twin, scale: float) -> Twin:
    return Twin(_Scaled(twin.model, scale), _Scaled(twin.copy, scale), twin.error)


def _spread(model: Model, images: Tensor, passes: int) -> float:
    with torch.no_grad():
        outs = [model(images) for _ in range(passes)]
    return max(difference(outs[0], out) for out in outs[1:])


def _tolerance(images: int) -> int:
    return max(1, round(HALF_A_POINT * images))


def _plateau(name: str, title: str, few: str, many: str, before: Tensor, after: Tensor) -> Check:
    fall = int(before.sum()) - int(after.sum())
    limit = _tolerance(len(before))
    found = f"{int(before.sum())} of {len(before)} images stand after {few}, {int(after.sum())} after {many}"
    return check(name, title, found, f"{limit} image fewer", "W", fall <= limit)
