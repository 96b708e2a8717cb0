"""The evaluation of one defended network, from its parts to tables: every way of attack that its declaration calls for.

Each way searches on its own; the points that it returns are judged by fresh draws, the same for all ways. Finished
searches and verdicts are kept in the state folder, so that a killed evaluation goes on as it would have.
"""

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pixelprune import artifacts, cli, closure, parallel, sampling, state
from pixelprune.attacks.attack import Attack
from pixelprune.attacks.narrowing import narrow
from pixelprune.attacks.threat import Threat
from pixelprune.corruptions.predictions import Corrupt
from pixelprune.draws import Draws
from pixelprune.errors import ArtifactError
from pixelprune.evaluation.massart import Precision
from pixelprune.harness import corrupted, detection, probability
from pixelprune.harness.accesses import Access
from pixelprune.harness.behind import Behind, Defense, Once, Verdict
from pixelprune.harness.compared import compared
from pixelprune.harness.cost import multiply_adds
from pixelprune.harness.declared import declared
from pixelprune.harness.effort import Effort
from pixelprune.harness.ladder import Batch, climb
from pixelprune.harness.ways import CLEAN, STATIC, TRANSFERRED, Way, verdict_draws, ways
from pixelprune.models.quick import quick

COLUMNS = {
    "image": "int64", "label": "int16", "group": "int64",
    "way": "str",  # harness.ways
    "right_mean": "bool",  # the mean probability of the verdict's draws is largest for the label
    "pred": "int16",  # of that mean
    "right_majority": "bool",  # most of them say the label
    "right_share": "float32",  # of them, how many do
    "margin": "float32",  # of that mean, in logarithms; > 0: wrong
    "undefended_clean_right": "bool",
    "linf": "float32", "l2": "float32",
    "forward": "int32", "backward": "int32",  # passes of the defended network, one for each draw
    "draws": "int32",  # behind each answer that the attack got
    "verdict_draws": "int32",
}  # fmt: skip
KEPT = 64
"""Images of which the worst point of all ways is written."""
SHOWN = 32
"""Of these, of how many it is written what the defense makes of them."""


@dataclass(frozen=True)
class Job:
    """A defense around a trained network. The network is in eval mode, its weights frozen."""

    name: str
    """strategy/training/seed/defense"""
    network: nn.Module
    defense: Defense
    learned: dict[str, Tensor]
    threat: Threat
    """Attacked at its headline alone."""
    attack: Attack
    """The ensemble that the undefended network gets, and a defense that neither draws nor searches."""
    effort: Effort
    corruptions: Mapping[str, Corrupt]
    seed: int


def evaluate(job: Job, batch: Batch, out: Path, folder: Path) -> dict[str, Any]:
    """Writes rows.parquet, compared.json, checks.json, corruptions.parquet, examples/ into `out`; returns the card.

    Of a posterior, detection.parquet and probability.parquet as well.

    batch: `effort.images` test images or fewer. folder: the state of these weights, of what was learned, of these data.
    """
    batch = batch.first(job.effort.images)
    behind = Behind(job.defense, job.network, job.learned, batch, job.seed, job.effort.group)
    folder = folder / _own(job)
    found = _ways(job, behind, folder)
    rows = pandas.concat([_table(job, behind, name, one) for name, one in found.items()], ignore_index=True)
    rows = rows.astype(COLUMNS)
    artifacts.begin(out)
    artifacts.save_table(out / "rows.parquet", rows)
    artifacts.save_json(out / "compared.json", compared(rows, sampling.numpy_generator(job.seed, "compared")))
    artifacts.save_json(out / "checks.json", declared(behind, job.threat, job.effort, rows))
    artifacts.save_table(out / "corruptions.parquet", _corrupted(job, behind))
    if job.defense.posterior:
        _save_posterior(job, behind, found, out)
    artifacts.save_array(out / "examples/ids.npy", batch.ids[:KEPT])
    worst = _worst(found)[:KEPT]
    artifacts.save_array(out / "examples/worst.npy", worst.cpu().numpy())
    pictures = _shown(behind, {"clean": batch.images[:KEPT], "attacked": worst})
    if pictures:
        artifacts.save_tensors(out / "examples/shown.safetensors", pictures)
    flags = ("randomised", "dynamic", "batch_coupled", "posterior")
    return {
        "defense": job.defense.model_dump(mode="json"),
        "declares": {flag: bool(getattr(job.defense, flag)) for flag in flags},
        "threat": job.threat.at_headline.model_dump(mode="json"),
        "effort": job.effort.model_dump(mode="json"),
        "ways": {name: {"images": len(one.points), "draws": one.draws} for name, one in found.items()},
        "shown": [key.removeprefix("clean/") for key in pictures if key.startswith("clean/")],
        "cost": _cost(behind, job.effort),
        "passes": {kind: int(rows[kind].sum()) for kind in ("forward", "backward")},
    }


def _save_posterior(job: Job, behind: Behind, found: Mapping[str, "Found"], out: Path) -> None:
    """detection.parquet, and where there are more draws than a few networks, probability.parquet."""
    asked = {name: one for name, one in found.items() if name != STATIC}
    verdicts = {name: _doubts(job, behind, one) for name, one in asked.items()}
    generator = sampling.numpy_generator(job.seed, "detection")
    attacked = {name: verdict for name, verdict in verdicts.items() if name != CLEAN}
    artifacts.save_table(
        out / "detection.parquet", detection.measure(verdicts[CLEAN], attacked, behind.batch.groups, generator)
    )
    if job.defense.randomised:
        few = behind.first(min(job.effort.costliest, len(behind.batch)))
        precision = Precision(gamma=job.effort.gamma, delta=job.effort.delta, alpha=job.effort.alpha)
        artifacts.save_table(out / "probability.parquet", probability.measure(few, job.threat, precision))


def _doubts(job: Job, behind: Behind, one: "Found") -> Verdict:
    """Of every draw; of a finite posterior, of every network."""
    members = job.defense.members(job.network, job.learned)
    if not members:
        return one.verdict
    with torch.no_grad():
        each = [
            torch.cat([member(one.points[index]) for index in behind.parts(len(one.points))]).log_softmax(1)
            for member in members
        ]
    return Verdict(torch.stack(each), one.verdict.labels)


@dataclass(frozen=True)
class Found:
    """What a way found against the first images, and what fresh draws say of it."""

    points: Tensor
    """float32 (N, C, H, W)"""
    verdict: Verdict
    draws: int
    forward: NDArray[np.int64]
    backward: NDArray[np.int64]


def _own(job: Job) -> str:
    """What every part depends on, beside the folder's networks and data: the defense, its code, its batches."""
    return state.fingerprint(
        defense=job.defense.model_dump(mode="json"),
        group=job.effort.group if job.defense.batch_coupled else None,
        code=closure.digest(
            closure.closure(Path(inspect.getfile(type(job.defense)))) | closure.closure(Path(__file__))
        ),
        seed=job.seed,
    )


def _ways(job: Job, behind: Behind, folder: Path) -> dict[str, Found]:
    batch, many = behind.batch, verdict_draws(job.defense, job.effort)
    static, spent = _attacked(job, batch, _undefended(job, batch), job.attack, folder)
    with torch.no_grad():
        parts = [job.network(static[index]) for index in behind.parts(len(batch))]
    none = np.zeros(len(batch), np.int64)
    right = Verdict(torch.log_softmax(torch.cat(parts), 1)[None], batch.labels)
    found = {
        CLEAN: Found(batch.images, _judged(behind, batch.images, many, folder), 1, none, none),
        STATIC: Found(static, right, 1, *(spent[kind].to_numpy() for kind in ("forward", "backward"))),
        TRANSFERRED: Found(static, _judged(behind, static, many, folder), 1, none, none),
    }
    for name, one in found.items():
        _tell(name, one)
    searches = ways(behind, job.effort, job.attack)
    for name, way in cli.progress(list(searches.items()), f"attack {job.name}"):
        points, forward, backward = _searched(job, behind, name, way, folder)
        found[name] = Found(points, _judged(behind, points, many, folder), way.draws, forward, backward)
        _tell(name, found[name])
    return found


def _tell(name: str, one: Found) -> None:
    by_mean, by_majority = (int(right.sum()) for right in (one.verdict.by_mean, one.verdict.by_majority))
    print(f"  {name}: {by_mean} of {len(one.points)} images stand, {by_majority} by majority", flush=True)


def _searched(
    job: Job, behind: Behind, name: str, way: Way, folder: Path
) -> tuple[Tensor, NDArray[np.int64], NDArray[np.int64]]:
    """The worst points of the attacks of a way, float32 (N, C, H, W), and the passes of all of them."""
    few = torch.arange(way.images, device=behind.batch.images.device)
    batch, many = behind.batch.first(way.images), verdict_draws(job.defense, job.effort)
    points, margins = batch.images, np.full(way.images, -np.inf)
    forward, backward = (np.zeros(way.images, np.int64) for _ in range(2))
    for key, attack in way.attacks.items():
        model = narrow(behind.model(way.draws, f"{name} {key}", way.gradient), few)
        # Of the verdict's own draws: an image that they call wrong already is not attacked.
        gate = narrow(behind.model(many, "verdict", way.gradient), few)
        everywhere = torch.ones_like(batch.images[:, :1], dtype=torch.bool)
        variant = f"{name} {key}, {way.draws} draws, {many} decide"
        access = Access(
            "defended", gate, everywhere, variant,
            climbed=None if isinstance(model, Once) else model, group=behind.together,
        )  # fmt: skip
        found, table = _attacked(job, batch, access, attack, folder)
        worse = table["adv_margin"].to_numpy() > margins
        points = torch.where(torch.tensor(worse, device=points.device).view(-1, 1, 1, 1), found, points)
        margins = np.maximum(margins, table["adv_margin"])
        forward, backward = forward + table["forward"].to_numpy(), backward + table["backward"].to_numpy()
    return points, forward, backward


def _undefended(job: Job, batch: Batch) -> Access:
    everywhere = torch.ones_like(batch.images[:, :1], dtype=torch.bool)
    return Access("undefended", job.network, everywhere, quick=quick(job.network))


def _attacked(job: Job, batch: Batch, access: Access, attack: Attack, folder: Path) -> tuple[Tensor, pandas.DataFrame]:
    """Points float32 (N, C, H, W), and a row an image in their order."""
    threats = {"headline": job.threat.at_headline}
    table, found = climb(batch, access, threats, {attack.name: attack}, seed=job.seed, folder=folder)
    return found["headline"], table


def _judged(behind: Behind, points: Tensor, draws: int, folder: Path) -> Verdict:
    """Kept beside the searches: fifty draws of every image cost as much as a short attack."""
    digest = hashlib.sha256(points.cpu().contiguous().numpy().tobytes()).hexdigest()
    name = state.fingerprint(points=digest, draws=draws, ids=behind.batch.ids.tolist(), device=points.device.type)
    path, labels = folder / f"verdict-{name}.safetensors", behind.batch.labels[: len(points)]
    try:
        return Verdict(artifacts.load_tensors(path)["each"].to(points.device), labels)
    except ArtifactError:
        verdict = Verdict(behind.judge(points, draws), labels)
    if parallel.first():
        artifacts.save_tensors(path, {"each": verdict.each})
    parallel.wait()
    return verdict


def _table(job: Job, behind: Behind, name: str, one: Found) -> pandas.DataFrame:
    count, batch, verdict = len(one.points), behind.batch, one.verdict
    with torch.no_grad():
        plain = torch.cat([job.network(batch.images[index]) for index in behind.parts(len(batch))])
    delta = (one.points - batch.images[:count]).flatten(1)
    columns = {
        "right_mean": verdict.by_mean, "pred": verdict.each.logsumexp(0).argmax(1),
        "right_majority": verdict.by_majority, "right_share": verdict.share,
        "margin": verdict.margins, "undefended_clean_right": (plain.argmax(1) == batch.labels)[:count],
        "linf": delta.abs().amax(1), "l2": delta.norm(dim=1, dtype=torch.float64).float(),
        "label": batch.labels[:count],
    }  # fmt: skip
    return pandas.DataFrame(
        {"image": batch.ids[:count], "group": batch.groups[:count], "way": name}
        | {key: values.cpu().numpy() for key, values in columns.items()}
        | {"forward": one.forward, "backward": one.backward}
        | {"draws": one.draws, "verdict_draws": len(verdict.each)}
    )[list(COLUMNS)]


def _worst(found: Mapping[str, Found]) -> Tensor:
    """The point of every image that the verdict errs most on, float32 (N, C, H, W); `static` is not asked."""
    points, margins = found[CLEAN].points.clone(), found[CLEAN].verdict.margins.clone()
    for name, one in found.items():
        if name != STATIC:
            worse = (one.verdict.margins > margins[: len(one.points)]).nonzero().squeeze(1)
            points[worse], margins[worse] = one.points[worse], one.verdict.margins[worse]
    return points


def _shown(behind: Behind, kinds: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """kind/name: what becomes of the images of each kind under the defense, uint8 (N, 3, H, W), N at most SHOWN."""
    found: dict[str, Tensor] = {}
    for kind, images in kinds.items():
        streams = behind.first(len(images)).streams("shown")
        with torch.no_grad():
            made = behind.defense.shown(behind.network, behind.learned, images, streams)
        if made:
            pictures = {"image": images} | made
            found |= {f"{kind}/{name}": (255 * one[:SHOWN]).round().byte().cpu() for name, one in pictures.items()}
    return found


def _corrupted(job: Job, behind: Behind) -> pandas.DataFrame:
    """As harness.corrupted, of the mean of the verdict's draws, with a column for the undefended network."""
    few = behind.first(min(job.effort.corruption_images, len(behind.batch)))
    model = few.model(verdict_draws(job.defense, job.effort), "corrupted")

    def defended(images: Tensor, ids: NDArray[np.int64], index: Tensor) -> Tensor:
        return narrow(model, index)(images)

    def undefended(images: Tensor, ids: NDArray[np.int64], index: Tensor) -> Tensor:
        logits: Tensor = job.network(images)
        return logits

    asked = (job.corruptions, job.effort.severities, job.seed)
    table = corrupted.measure(few.batch, defended, *asked, group=few.together)
    plain = corrupted.measure(few.batch, undefended, *asked)
    return table.assign(undefended_pred=plain["pred"])


def _cost(behind: Behind, effort: Effort) -> dict[str, float]:
    """Of one draw of an image, and of all that decide, as multiples of the network without its defense."""
    count = min(behind.group if behind.defense.batch_coupled else effort.check_images, len(behind.batch))
    some = behind.first(count)
    drawn, streams = some.drawn(), some.streams("cost")
    plain = multiply_adds(lambda: behind.network(some.batch.images)) / count
    draw = multiply_adds(lambda: drawn(some.batch.images, Draws(streams.seeds))) / count
    many = verdict_draws(behind.defense, effort)
    return {"undefended_multiply_adds": plain, "draw": draw / plain, "verdict": many * draw / plain}
