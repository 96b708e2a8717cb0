"""Does a defense do what it declares, and did the attacks that this calls for do all they could?

Sources: Croce & Hein, ICML 2020, arXiv:2003.01690 (E15 to E17); Carlini et al., arXiv:1902.06705 (E9, E16, E20);
Croce et al., ICML 2022, arXiv:2202.13711 (searches at inference).
"""

from itertools import pairwise

import pandas
import torch
from torch import Tensor

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.mean import Drawn
from pixelprune.attacks.threat import Threat
from pixelprune.draws import Draws
from pixelprune.evaluation.check import Check, check
from pixelprune.evaluation.row_checks import SLACK
from pixelprune.harness import planted_defended
from pixelprune.harness.behind import Behind, Known
from pixelprune.harness.compared import adaptive
from pixelprune.harness.difference import difference
from pixelprune.harness.effort import Effort
from pixelprune.harness.ways import CONFIDENT, TRANSFERRED, along_means

SAME = 1e-4
"""Normalized logits that differ by no more are taken as equal."""
FEW = "0.2 % of the images, or 1"
PLATEAU = "0.5 % of the images, or 1"


def declared(behind: Behind, threat: Threat, effort: Effort, rows: pandas.DataFrame) -> list[Check]:
    """In the order of their ids. rows: those of harness.defended."""
    few = behind.first(effort.check_images)
    found = [
        feasible(rows, threat), black_box(rows), repeatable(few), *plateau(few, threat, effort, rows),
        searches(few, rows), transfer(rows), surrogate(few), planted_defended.examine(few, threat, effort),
        coupled(few), posterior(behind, rows),
    ]  # fmt: skip
    return sorted(found, key=lambda one: int(one["id"].removeprefix("E")))


def feasible(rows: pandas.DataFrame, threat: Threat) -> Check:
    outside = int((~(rows[threat.norm] <= threat.headline + SLACK)).sum())
    found = f"{outside} of {len(rows)} rows outside"
    return check("E2", "adversarial images are feasible", found, "no row beyond eps + 1e-6", "F", outside == 0)


def black_box(rows: pandas.DataFrame) -> Check:
    blind = ["square", "rays"]
    with_gradients = [way for way in adaptive(rows) if way not in blind]
    return _no_more("E9", "no attack without gradients is stronger", rows, blind, with_gradients)


def repeatable(few: Behind) -> Check:
    title, streams = "the same image gets the same logits, or chance is declared", few.streams("E15")
    drawn, images = few.drawn(), few.batch.images
    differ = difference(*(_asked(drawn, images, streams.branch(number)) for number in range(2)))
    found = f"normalized logits of two passes differ by {differ:.1g}"
    if few.defense.randomised:
        return check("E15", title, f"declared; {found}", "above 1e-4", "W", differ > SAME)
    return check("E15", title, found, "1e-4", "F", differ <= SAME)


def coupled(few: Behind) -> Check:
    """Beside other images, at the same place of as large a batch, and with the same draws."""
    title, images = "no other image of the batch has a say, or that is declared", few.batch.images
    drawn, draws = few.defense.around(few.network, few.learned), few.streams("E32")
    both = Draws.together([draws.branch(0), draws.branch(1)])
    one, other = (
        _asked(drawn, torch.cat([images, beside]), Draws(both.seeds))[: len(images)] for beside in (images, 1 - images)
    )
    differ = difference(one, other)
    found = f"normalized logits beside other images differ by {differ:.1g}"
    if few.defense.batch_coupled:
        return check("E32", title, f"declared; {found}", "above 1e-4", "W", differ > SAME)
    return check("E32", title, found, "1e-4", "F", differ <= SAME)


def searches(few: Behind, rows: pandas.DataFrame) -> Check:
    """Told by tensors that it keeps for a gradient where nobody asked for one."""
    title, threshold = "it computes no gradient to predict, or attacks followed it", "none, or BPDA and unrolled"
    kept: list[None] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(None)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        try:
            _asked(few.drawn(), few.batch.images, few.streams("E17"))
        except RuntimeError:  # torch.func.grad refuses such hooks
            kept.append(None)
    found = "it computes gradients to predict" if kept else "no gradient is computed to predict"
    if not few.defense.dynamic:
        return check("E17", title, found, threshold, "F", not kept)
    missing = {"bpda", "unrolled"} - set(adaptive(rows))
    words = f"{found}; did not run: {', '.join(sorted(missing))}" if missing else f"{found}; both attacks ran"
    return check("E17", title, f"declared; {words}", threshold, "F", not missing)


def surrogate(few: Behind) -> Check:
    """What attacks are given a gradient of predicts what the defense predicts."""
    title = "the gradient's stand-in predicts the same"
    if not few.defense.dynamic:
        return check("E26", title, "there is one gradient", "1e-6", "F", None)
    logits = []
    for gradient, derived in (("identity", False), ("identity", True), ("unrolled", True)):
        drawn = few.drawn("unrolled" if gradient == "unrolled" else "identity")
        images = few.batch.images.clone().requires_grad_(derived)
        with torch.set_grad_enabled(derived):
            logits.append(drawn(images, few.streams("E26")).detach())
    differ = max(difference(logits[0], other) for other in logits[1:])
    return check("E26", title, f"normalized logits differ by {differ:.1g}", "1e-6", "F", differ <= 1e-6)


def plateau(few: Behind, threat: Threat, effort: Effort, rows: pandas.DataFrame) -> list[Check]:
    """E16, and that a draw that is known is no harder."""
    title = "more draws a step find no more, and a draw that is known is no harder"
    chains = along_means(adaptive(rows))
    if not few.defense.randomised or not chains:
        return [check("E16", title, "nothing is drawn", PLATEAU, "W", None)]
    words, holds = [], True
    for chain in chains:
        for fewer, more in pairwise(chain):
            one, other = _paired(rows, fewer, more)
            words.append(f"of {len(one)} images {one.sum()} stand under {fewer}, {other.sum()} under {more}")
            holds &= int(one.sum()) - int(other.sum()) <= max(1, round(0.005 * len(one)))
    known, count = _known(few, threat, effort), len(few.batch)
    unknown = rows[(rows["way"] == chains[0][0]) & rows["image"].isin(few.batch.ids)]["right_share"].mean()
    words.append(f"of {count}, a draw is right on {unknown:.0%} of the points of {chains[0][0]}, on {known:.0%} of "
                 "those made against it")  # fmt: skip
    holds &= known - unknown <= max(1, round(0.005 * count)) / count
    return [check("E16", title, "; ".join(words), PLATEAU, "W", bool(holds))]


def transfer(rows: pandas.DataFrame) -> Check:
    return _no_more("E20", "points made without the defense break no more", rows, [TRANSFERRED], adaptive(rows))


def posterior(behind: Behind, rows: pandas.DataFrame) -> Check:
    title, threshold = "its posterior was attacked, not a single network", "an attack on the mean of the draws"
    if not behind.defense.posterior:
        return check("E33", title, "its draws are not of weights", threshold, "F", None)
    ran = [way for way in adaptive(rows) if way not in ("square", "rays", "plain", CONFIDENT)]
    if behind.defense.randomised:
        ran = [way for way in ran if (rows.loc[rows["way"] == way, "draws"] > 1).all()]
    found = f"on the mean: {', '.join(ran)}" if ran else "no attack followed a gradient of the mean"
    return check("E33", title, found, threshold, "F", bool(ran))


def _no_more(id: str, title: str, rows: pandas.DataFrame, weak: list[str], strong: list[str]) -> Check:
    """What the weak ways break is broken by the strong ones that saw it, on images that both saw."""
    right = rows.pivot(index="image", columns="way", values="right_mean")
    weak, strong = ([way for way in some if way in right] for some in (weak, strong))
    if not weak or not strong:
        return check(id, title, "these ways did not run", FEW, "F", None)
    seen = right[weak].notna().any(axis=1) & right[strong].notna().any(axis=1)
    fell, stands = ((right.loc[seen, some] == False).any(axis=1) for some in (weak, strong))  # noqa: E712  (not nan)
    extra, limit = int((fell & ~stands).sum()), max(1, round(0.002 * int(seen.sum())))
    found = f"of the {int((~stands).sum())} of {int(seen.sum())} images that stand, {extra} fall to {', '.join(weak)}"
    return check(id, title, found, FEW, "F", extra <= limit)


def _paired(rows: pandas.DataFrame, one: str, other: str) -> tuple["pandas.Series[bool]", "pandas.Series[bool]"]:
    first, second = (rows[rows["way"] == way].set_index("image")["right_mean"] for way in (one, other))
    return first.reindex(second.index), second


def _known(few: Behind, threat: Threat, effort: Effort) -> float:
    """The share of images that stand where the attacker knows the draw that will be."""
    batch, stand = few.batch, 0
    everywhere = torch.ones_like(batch.images[:, :1], dtype=torch.bool)
    for number in range(effort.known_draws):
        streams = few.streams(f"E16 known {number}")
        model = Known(few.drawn(), streams)
        points = APGD(steps=effort.steps)(
            model, batch.images, batch.labels, ball=threat.ball(), mask=everywhere, draws=streams.branch(0)
        )
        with torch.no_grad():
            stand += int((model(points).argmax(1) == batch.labels).sum())
    return stand / (effort.known_draws * len(batch))


def _asked(drawn: Drawn, images: Tensor, draws: Draws) -> Tensor:
    with torch.no_grad():
        return drawn(images, draws)
