"""Climbs the ladder: every attack at every eps of a threat, image by image, into one table of rows.

An image that an attack broke at a smaller eps stays broken at a larger one, with the point found then: balls are
nested. Only images that still stand are attacked again. Finished parts are kept in the state folder and read back after
a kill, or when another part of the ladder changed; so are the chunks of a part, and the attacks of an ensemble.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelprune import artifacts, cli, closure, parallel, runtime, state
from pixelprune.attacks.attack import Attack
from pixelprune.attacks.balls import Ball
from pixelprune.attacks.diary import NO_DIARY, Diary, keeping, remembered
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Budget, Counted, Model, narrow
from pixelprune.attacks.threat import Threat
from pixelprune.attacks.twin import Twin, exactly, mistaken
from pixelprune.draws import Draws
from pixelprune.errors import ArtifactError
from pixelprune.evaluation import rows
from pixelprune.harness.accesses import Access
from pixelprune.harness.pages import Pages
from pixelprune.models import quick

CHUNK = 250
"""Images of one call of an attack, at most; those take part that still stand."""
PIXELS = 2**20
"""Of those images together, at most: it bounds the memory, and changes nothing up to 64 x 64."""
WHOLE, AGAIN = 1000, 1001
"""The members of the diary that are the whole attack on a chunk, and the one without the copy; ensembles number theirs
from 0."""


@dataclass(frozen=True)
class Batch:
    """The attacked images. images float32 (N, C, H, W) in [0, 1], labels int64 (N,), ids and groups int64 (N,)."""

    images: Tensor
    labels: Tensor
    ids: NDArray[np.int64]
    groups: NDArray[np.int64]
    examples: int
    """Of how many, the first ones, the adversarial image itself is kept."""

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Batch":
        """So many images, all of them examples."""
        return self.part(0, count)

    def part(self, start: int, stop: int) -> "Batch":
        """Those images, all of them examples."""
        some = slice(start, stop)
        images = self.images[some]
        return Batch(images, self.labels[some], self.ids[some], self.groups[some], examples=len(images))


@dataclass
class Found:
    """What one attack has found so far against each image, at this and all smaller eps."""

    prediction: Tensor
    margin: Tensor
    linf: Tensor
    l2: Tensor
    changed_outside: Tensor
    points: Tensor
    """Adversarial images of the first `examples` images, float32 (M, C, H, W)."""

    FIELDS = ("prediction", "margin", "linf", "l2", "changed_outside")


def climb(
    batch: Batch,
    access: Access,
    threats: Mapping[str, Threat],
    ladder: Mapping[str, Attack],
    *,
    seed: int,
    folder: Path,
) -> tuple[pandas.DataFrame, dict[str, Tensor]]:
    """Rows as evaluation.rows.COLUMNS, and for each threat the worst example of the first images at the headline eps.

    folder: where finished parts are kept; it belongs to these weights, data and masks.
    """
    clean = _classify(access, batch)
    start = clean
    if access.climbed is not None:
        # What a model says by chance of the clean image is no reason to prefer that image to what an attack returns.
        start = (clean[0], clean[1].masked_fill(clean[1] <= 0, -torch.inf), *clean[2:])
    tables, examples = [], {}
    for key, threat in threats.items():
        worst = found = _nothing_found(start, batch)
        parts = [(*rung, position) for rung in ladder.items() for position in range(len(threat.eps))]
        for attack_key, attack, position in cli.progress(parts, f"attack {access.name}, {key}"):
            eps = threat.eps[position]
            if position == 0:
                found = _nothing_found(start, batch)
            part = _part_name(batch, access, threat, attack, threat.eps[: position + 1], seed)
            words = (seed, access.name + access.variant, attack.name, repr(eps))
            spent = _attack(batch, access, attack, threat.ball(eps), found, words, folder / part)
            tables.append(_table(batch, access, key, threat, eps, attack_key, clean, found, spent))
            if eps == threat.headline:
                _keep_worst(worst, found)
        examples[key] = worst.points
    return pandas.concat(tables, ignore_index=True).astype(rows.COLUMNS), examples


def _nothing_found(clean: tuple[Tensor, Tensor, Tensor, Tensor, Tensor], batch: Batch) -> Found:
    prediction, margins, linf, l2, changed = (values.clone() for values in clean)
    return Found(prediction, margins, linf, l2, changed, points=batch.images[: batch.examples].clone())


def _classify(access: Access, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Found's fields for the clean images."""
    predictions, margins = [], []
    with torch.no_grad():
        for index in chunks(batch.images, access.group):
            logits = narrow(access.model, index)(batch.images[index])
            predictions.append(logits.argmax(1))
            margins.append(margin(logits, batch.labels[index]))
    nothing = torch.zeros(len(batch), device=batch.images.device)
    return torch.cat(predictions), torch.cat(margins), nothing, nothing.clone(), nothing.long()


def _attack(
    batch: Batch, access: Access, attack: Attack, ball: Ball, found: Found, words: tuple[int | str, ...], path: Path
) -> Budget:
    """Attacks the images that stand and notes what it found. Returns what each image cost.

    path: what is found is kept there, until then after each chunk and each member of an ensemble, and read from there.
    """
    spent = _saved(path, found, batch)
    if spent is not None:
        return spent
    spent, parts, pages = Budget(len(batch)), list(enumerate(chunks(batch.images, access.group))), []
    what = f"{access.name}, {attack.name} at {ball.norm} {ball.eps:.3g}"

    def state() -> str:
        return f"{int((found.margin <= 0).sum())} of {len(batch)} images stand"

    for number, chunk in cli.progress(parts, what, state=state):
        index = chunk[found.margin[chunk] <= 0]
        if parallel.owner(number) != parallel.rank() or len(index) == 0:
            continue
        pages.append(Pages(path.with_name(f"{path.name}-{number}"), spent, index.cpu(), cli.teller(what)))
        _attack_chunk(batch, access, attack, ball, found, words, index, spent, pages[-1])
    for number, chunk in parts:
        _hand_out(found, spent, chunk, parallel.owner(number))
    if parallel.first():
        _save(path, found, spent, batch)
    parallel.wait()  # the next part may be the same one again: all find it, or none
    for page in pages:
        page.close()
    return spent


def _hand_out(found: Found, spent: Budget, chunk: Tensor, source: int) -> None:
    """What process `source` found against these images, to all others."""
    for name in Found.FIELDS:
        parallel.hand_out(getattr(found, name), chunk, source)
    parallel.hand_out(found.points, chunk[chunk < len(found.points)], source)
    for kind in (spent.forward, spent.backward):
        parallel.hand_out(kind, chunk.cpu(), source)


def chunks(images: Tensor, group: int = 1) -> tuple[Tensor, ...]:
    """Positions of the images that are worked on together, int64, on their device: whole groups of so many."""
    size = min(CHUNK, PIXELS // (images.shape[2] * images.shape[3]))
    return torch.arange(len(images), device=images.device).split(max(size // group, 1) * group)


def _attack_chunk(
    batch: Batch, access: Access, attack: Attack, ball: Ball, found: Found, words: tuple[int | str, ...],
    index: Tensor, spent: Budget, pages: Pages,
) -> None:  # fmt: skip
    images, labels = batch.images[index], batch.labels[index]
    draws = Draws.of(batch.ids[index.cpu().numpy()], *words, device=index.device)
    points, logits = attacked(attack, access, index, images, labels, ball=ball, draws=draws, spent=spent, pages=pages)
    # The float32 verdict on the returned point is the one that counts, whatever the attack saw on its way.
    worse = (verdict := margin(logits, labels)) > found.margin[index]
    target, delta = index[worse], (points - images)[worse]
    found.prediction[target], found.margin[target] = logits.argmax(1)[worse], verdict[worse]
    found.linf[target], found.l2[target] = (
        delta.flatten(1).abs().amax(1),
        delta.flatten(1).norm(dim=1, dtype=torch.float64).float(),
    )
    outside = (delta != 0).any(1, keepdim=True) & ~access.mask[target]
    found.changed_outside[target] = outside.sum((1, 2, 3))
    kept = target < batch.examples
    found.points[target[kept]] = points[worse][kept]


def attacked(
    attack: Attack, access: Access, index: Tensor, images: Tensor, labels: Tensor,
    *, ball: Ball, draws: Draws, spent: Budget, pages: Diary = NO_DIARY,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Points against these images, the ones at `index` of the access, and the logits that its model gives to them.

    An attack leaves an image for good where the quick copy errs. Where the model itself does not, the image is attacked
    again, without the copy.
    """
    model, mask = searched(access, index, spent), access.mask[index]
    own = narrow(keeping(attack, pages), index)
    points = remembered(pages, WHOLE, images, lambda: own(model, images, labels, ball=ball, mask=mask, draws=draws))
    with torch.no_grad():
        logits = narrow(access.model, index)(points)
    left = mistaken(model, points, labels, (margin(logits, labels) <= 0).nonzero().squeeze(1))
    if len(left):
        exact, again = narrow(exactly(model), left), draws.branch(1).narrow(left)
        points[left] = remembered(pages, AGAIN, images[left], lambda: narrow(attack, index[left])(
            exact, images[left], labels[left], ball=ball, mask=mask[left], draws=again
        ))  # fmt: skip
        with torch.no_grad():
            logits[left] = narrow(access.model, index[left])(points[left])
    return points, logits


def searched(access: Access, index: Tensor, spent: Budget) -> Model:
    """The model of images[index] that attacks are given, counted."""
    if access.climbed is not None:
        return Counted(access.climbed.narrow(index), spent, rows=index.cpu(), cost=access.climbed.draws)
    model = Counted(narrow(access.model, index), spent, rows=index.cpu())
    if access.quick is None:
        return model
    copy = Counted(narrow(access.quick, index), spent, rows=index.cpu())
    return Twin(model, copy, quick.error(index.device))


def _part_name(batch: Batch, access: Access, threat: Threat, attack: Attack, eps: tuple[float, ...], seed: int) -> str:
    """What a part depends on beside the folder's weights, data and masks: its eps and all smaller ones included."""
    device = batch.images.device
    return state.fingerprint(
        images=[batch.ids.tolist(), batch.examples], device=[device.type, runtime.computes_bfloat16(device)],
        access=[access.name, access.variant], norm=threat.norm, eps=eps, attack=attack.model_dump(mode="json"),
        seed=seed, code=_code(frozenset({inspect.getfile(type(attack)), *_files(attack)})),
    )  # fmt: skip


@cache
def _code(files: frozenset[str]) -> str:
    return closure.digest(closure.closure(Path(__file__)).union(*(closure.closure(Path(file)) for file in files)))


def _files(part: object) -> set[str]:
    """Where the classes of an attack stand, and those of what it wraps: other attacks, demands, judges."""
    kind = part if isinstance(part, type) else type(part)
    if not kind.__module__.startswith(__package__.partition(".")[0]):
        return set()
    inner = [getattr(part, field.name) for field in fields(part)] if is_dataclass(part) and part is not kind else []
    return {inspect.getfile(kind)}.union(*map(_files, inner))


def _save(path: Path, found: Found, spent: Budget, batch: Batch) -> None:
    tensors = {name: getattr(found, name) for name in Found.FIELDS}
    # An example is stored by the part that found it, or by each part for as long as it stands: seldom many times.
    changed = (found.points != batch.images[: batch.examples]).flatten(1).any(1)
    tensors |= {"rows": changed.nonzero().squeeze(1), "points": found.points[changed]}
    tensors |= {"forward": spent.forward, "backward": spent.backward}
    artifacts.save_tensors(path.with_suffix(".safetensors"), tensors)


def _saved(path: Path, found: Found, batch: Batch) -> Budget | None:
    """Fills in what an earlier process found, where it ended this part. Returns what it spent."""
    try:
        tensors = artifacts.load_tensors(path.with_suffix(".safetensors"))
    except ArtifactError:
        return None  # missing, or damaged and done again
    device = batch.images.device
    for name in Found.FIELDS:
        setattr(found, name, tensors[name].to(device))
    found.points[tensors["rows"].to(device)] = tensors["points"].to(device)
    spent = Budget(len(batch))
    spent.forward, spent.backward = tensors["forward"], tensors["backward"]
    return spent


def _keep_worst(worst: Found, found: Found) -> None:
    count = len(worst.points)
    better = found.margin[:count] > worst.margin[:count]
    worst.points[better] = found.points[better]
    worst.margin = torch.maximum(worst.margin, found.margin)


def _table(
    batch: Batch, access: Access, key: str, threat: Threat, eps: float, attack: str,
    clean: tuple[Tensor, ...], found: Found, spent: Budget,
) -> pandas.DataFrame:  # fmt: skip
    return pandas.DataFrame({
        "image": batch.ids, "label": batch.labels.cpu().numpy(), "group": batch.groups,
        "access": access.name, "threat": key, "norm": threat.norm, "eps": eps, "attack": attack,
        "clean_pred": clean[0].cpu().numpy(), "clean_margin": clean[1].cpu().numpy(),
        "adv_pred": found.prediction.cpu().numpy(), "adv_margin": found.margin.cpu().numpy(),
        "linf": found.linf.cpu().numpy(), "l2": found.l2.cpu().numpy(),
        "changed_outside": found.changed_outside.cpu().numpy(),
        "forward": spent.forward.numpy(), "backward": spent.backward.numpy(),
    })  # fmt: skip
