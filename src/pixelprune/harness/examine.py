"""All checks of a run: those of its table of rows, those that ask its model, and those that compare attacks."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas
import torch
from torch import Tensor

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.apgd_targeted import APGDTargeted
from pixelprune.attacks.autoattack import AutoAttack
from pixelprune.attacks.fast import Fast
from pixelprune.attacks.fgsm import FGSM
from pixelprune.attacks.max import Max
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.threat import Threat
from pixelprune.evaluation import sequential
from pixelprune.evaluation.check import Check, check
from pixelprune.evaluation.row_checks import row_checks
from pixelprune.evaluation.worst_case import standing
from pixelprune.harness import by_chance, checks, planted_masks
from pixelprune.harness.accesses import Access
from pixelprune.harness.job import Run
from pixelprune.harness.ladder import Batch, climb
from pixelprune.harness.pipeline import Pipeline
from pixelprune.harness.planted import THRESHOLD

Examples = Mapping[tuple[str, str], Tensor]
"""(access, threat) -> the worst adversarial images of the first ones of the batch."""
LOOK = 50
"""Images between two looks at how many AutoAttack leaves standing, where it may stop early."""
ITERATIVE = (PGD, APGD, APGDTargeted, Fast, AutoAttack, Max)


def examine(
    run: Run, batch: Batch, masks: Tensor, rows: pandas.DataFrame, examples: Examples, iou: float | None, folder: Path
) -> list[Check]:
    """In the order of their ids. iou: of the masks before and after the adaptive access; None where it did not run."""
    access = run.own_access(batch, masks)
    single = [key for key, attack in run.ladder.items() if isinstance(attack, FGSM)]
    iterative = [key for key, attack in run.ladder.items() if isinstance(attack, ITERATIVE)]
    found = [
        *row_checks(rows, single, iterative),
        _stored(run, batch, access, rows, examples),
        *checks.run(_subject(run, batch, masks, rows, examples, iou)),
        _agreement(run, batch, access, rows, folder),
        _behind_another_mask(run, batch),
        _plateau_of_draws(run, batch, examples),
    ]
    return sorted(found, key=lambda check: int(check["id"].removeprefix("E")))


def _subject(
    run: Run, batch: Batch, masks: Tensor, rows: pandas.DataFrame, examples: Examples, iou: float | None
) -> checks.Subject:
    key, threat = next(iter(run.threats.items()))
    few = slice(0, min(run.settings.check_images, len(batch)))
    pgd = [attack for attack in run.ladder.values() if isinstance(attack, PGD)]
    return checks.Subject(
        network=run.network, fill=run.strategy.fill, ids=batch.ids[few], images=batch.images[few],
        labels=batch.labels[few], mask=torch.ones_like(masks[few]) if run.full_network is None else masks[few],
        threat=threat, ladder=run.ladder, stands=_stands(rows, run.headline, key, threat, batch)[few],
        queries=run.settings.check_queries, pgd=pgd[-1] if pgd else PGD(steps=20),
        behaviour=run.strategy.behaviour,
        transferred=None if run.full_network is None else examples["location", key][few], adaptive=iou, seed=run.seed,
        pipeline=_whole(run, batch.first(few.stop)),
    )  # fmt: skip


def _whole(run: Run, batch: Batch) -> Model | None:
    if run.rank is None:
        return None
    if run.strategy.behaviour == "random":
        return by_chance.mean(run.pruned, batch, 1, run.seed, "E15")
    return Pipeline(run.pruned, batch.ids)


def _stands(rows: pandas.DataFrame, access: str, key: str, threat: Threat, batch: Batch) -> Tensor:
    """bool (N,): what the ladder leaves standing at the headline eps."""
    stands = standing(rows, access, key, threat.headline)
    return torch.tensor(stands.reindex(batch.ids).to_numpy(np.bool_)).to(batch.images.device)


def _stored(run: Run, batch: Batch, access: Access, rows: pandas.DataFrame, examples: Examples) -> Check:
    """E3: the stored adversarial images, classified anew, get the verdict of the rows; in 8 bits beside it."""
    count = batch.examples
    model = narrow(access.model, torch.arange(count, device=batch.images.device))
    labels = batch.labels[:count]
    differ, right, rounded = 0, 0, 0
    for key, threat in run.threats.items():
        stands, points = _stands(rows, access.name, key, threat, batch)[:count], examples[access.name, key]
        with torch.no_grad():
            again = model(points).argmax(1) == labels
            eight_bit = model((points * 255).round() / 255).argmax(1) == labels
        differ += int((again != stands).sum())
        right, rounded = right + int(again.sum()), rounded + int(eight_bit.sum())
    total = count * len(run.threats)
    found = f"{differ} differ; {right} of {total} stand in float32, {rounded} rounded to 8 bits"
    return check("E3", "stored examples keep their verdict", found, "0 images", "F", differ == 0)


def _agreement(run: Run, batch: Batch, access: Access, rows: pandas.DataFrame, folder: Path) -> Check:
    """E28: the published ensemble breaks no more than the ladder does."""
    title, threshold = "AutoAttack finds no more than the ladder", "0.2 % of the images, or 1"
    if run.name not in run.settings.autoattack:
        return check("E28", title, "not asked for in this run", threshold, "W", None)
    key, threat = next(iter(run.threats.items()))
    asked = batch.first(run.settings.autoattack_images)
    table = _autoattack(run, asked, access, {key: threat.at_headline}, folder)
    few = asked.first(len(table))
    left = _stands(table, access.name, key, threat, few)
    stands = _stands(rows, access.name, key, threat, batch)[: len(few)]
    more, fewer = int((stands & ~left).sum()), int((left & ~stands).sum())
    of_ladder = rows[(rows.access == access.name) & (rows.threat == key) & rows.image.isin(few.ids)]
    spent = [int(part[["forward", "backward"]].to_numpy().sum()) for part in (table, of_ladder)]
    radii = f" at {len(threat.eps)} radii" if len(threat.eps) > 1 else ""
    found = (
        f"of {len(few)} images {int(left.sum())} stand after AutoAttack, {int(stands.sum())} after the ladder; "
        f"{more} fall to AutoAttack alone, {fewer} to the ladder alone; {spent[0]:,} passes against {spent[1]:,}{radii}"
    )
    if run.settings.autoattack_within is not None:
        low, high = sequential.interval(int(left.sum()), len(few), len(asked))
        found += f"; of all {len(asked)} stand {low:.1%} to {high:.1%}, with 95 % confidence"
    return check("E28", title, found, threshold, "W", more <= max(1, round(0.002 * len(few))))


def _autoattack(
    run: Run, batch: Batch, access: Access, threats: Mapping[str, Threat], folder: Path
) -> pandas.DataFrame:
    """Its rows, one an image: of all images, or of the first ones once their share is known well enough."""
    within, tables, stand = run.settings.autoattack_within, [], 0
    step = len(batch) if within is None else LOOK
    for start in range(0, len(batch), step):
        part = batch.part(start, start + step)
        tried = start + len(part)
        index = torch.arange(start, tried, device=access.mask.device)
        own = Access(
            access.name, narrow(access.model, index), access.mask[index], "autoattack", narrow(access.quick, index)
        )
        table, _ = climb(part, own, threats, {"autoattack": AutoAttack()}, seed=run.seed, folder=folder)
        tables.append(table)
        stand += int((table["adv_pred"] == table["label"]).sum())
        if within is not None and sequential.enough(stand, tried, len(batch), within):
            break
    return pandas.concat(tables, ignore_index=True)


def _behind_another_mask(run: Run, batch: Batch) -> Check:
    """E30: where a mask can be moved, and where asked for: an image costs hundreds of masks."""
    images = run.settings.planted_mask_images
    if run.smooth is None or not images:
        why = "no mask answers the attacker" if run.smooth is None else "not asked for in this study"
        return check("E30", planted_masks.TITLE, why, THRESHOLD, "W", None)
    return planted_masks.examine(
        batch.first(images), run.network, run.pruned, run.smooth, next(iter(run.threats.values())),
        steps=run.settings.adaptive_steps, queries=run.settings.adaptive_queries, seed=run.seed,
    )  # fmt: skip


def _plateau_of_draws(run: Run, batch: Batch, examples: Examples) -> Check:
    """E16, where a mask is drawn anew each time."""
    key, threat = next(iter(run.threats.items()))
    if ("adaptive", key) not in examples or run.strategy.behaviour != "random":
        return check("E16", by_chance.TITLE, "no mask was drawn anew", by_chance.THRESHOLD, "W", None)
    points = examples["adaptive", key]
    return by_chance.examine(
        batch.first(len(points)), run.settings.check_images, run.pruned, threat, points,
        steps=run.settings.adaptive_steps, seed=run.seed,
    )  # fmt: skip
