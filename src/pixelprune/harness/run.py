"""The evaluation of one run, from artifacts to artifacts: clean accuracy, the ladder, corruptions, checks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pixelprune import artifacts, sampling
from pixelprune.attacks.fgsm import FGSM
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import narrow
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.threat import Threat
from pixelprune.datasets.split import Split
from pixelprune.evaluation.check import Check, check
from pixelprune.evaluation.row_checks import row_checks
from pixelprune.evaluation.rows import UNBOUNDED
from pixelprune.harness import accesses, adaptive, checks, corrupted
from pixelprune.harness.accesses import Access
from pixelprune.harness.ladder import Attack, Batch, climb, estimator_of
from pixelprune.harness.settings import Evaluation
from pixelprune.pruned import Pruned
from pixelprune.pruning import FrozenModel, PrunedModel
from pixelprune.selecting import Rank

SUBSET_SEED = 0
"""Which test images are attacked does not depend on the run: runs are compared image by image."""
EXAMPLES = 64
"""Adversarial images kept of an access and threat; at least those that the checks look at."""
UNBOUNDED_THREAT = Threat(norm="linf", eps=(1.0,))
UNBOUNDED_ATTACK = PGD(steps=100, relative_step=0.1)


@dataclass(frozen=True)
class Run:
    """What is evaluated, and how."""

    network: nn.Module
    full_network: nn.Module | None
    """The model of the same training and seed that prunes nothing; None where this run is that model."""
    strategy: Pruned
    rank: Rank | None
    """Ranks the pixels of corrupted images; None for an oracle, which keeps the masks of the clean ones."""
    smooth: Rank | None
    """A map with a gradient, close to `rank`; None where no mask answers the attacker."""
    threats: Mapping[str, Threat]
    ladder: Mapping[str, Attack]
    corruptions: Mapping[str, Callable[..., Tensor]]
    settings: Evaluation
    seed: int

    @property
    def headline(self) -> str:
        return "full" if self.full_network is None else "kept"


def evaluate(run: Run, test: Split, out: Path, folder: Path, device: torch.device) -> dict[str, Any]:
    """Writes everything of results/P/T/s into `out`; returns the card. `folder`: state of this very run."""
    chosen = subset(test.labels, run.settings.images)
    masks = run.strategy.masks("test", len(test)).to(device)
    _save_clean(run, test, masks, out, device)

    examined, moved = (min(count, len(chosen)) for count in (run.settings.check_images, run.settings.adaptive_images))
    batch = _batch(test, chosen, device, examples=min(max(EXAMPLES, examined, moved), len(chosen)))
    own = masks[torch.from_numpy(chosen).to(device)]
    table, examples, unbounded = _attack(run, batch, own, folder)
    tables = [table, unbounded]
    if run.rank is not None and run.smooth is not None and moved:
        moving, worst = _adaptive(run, _first(batch, moved), examples, run.rank, run.smooth, folder)
        tables.append(moving)
        examples |= worst
    rows = pandas.concat(tables, ignore_index=True)
    findings = _checks(run, batch, own, slice(0, examined), rows, examples)
    artifacts.save_table(out / "rows.parquet", rows)
    artifacts.save_array(out / "examples/ids.npy", batch.ids[: batch.examples])
    for (access, threat), points in examples.items():
        artifacts.save_array(out / f"examples/{access}_{threat}.npy", points.cpu().numpy())
    artifacts.save_table(out / "corruptions.parquet", _corrupt(run, test, masks, device))
    artifacts.save_json(out / "checks.json", findings)
    card = {
        "behaviour": run.strategy.behaviour,
        "oracle": run.strategy.oracle,
        "attacked": len(chosen),
        "tested": len(test),
        "passes": {kind: int(rows[kind].sum()) for kind in ("forward", "backward")},
        "ladder": {key: attack.model_dump(mode="json") for key, attack in run.ladder.items()},
        "threats": {key: threat.model_dump(mode="json") for key, threat in run.threats.items()},
    }
    return card


def subset(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Positions of the attacked test images, stratified; the first of them are the fixed examples and check images."""
    generator = sampling.numpy_generator(SUBSET_SEED, "attacked")
    chosen = sampling.stratified(labels, count, generator)
    return np.asarray(generator.permutation(chosen))


def _batch(test: Split, chosen: NDArray[np.int64], device: torch.device, examples: int = 0) -> Batch:
    images = torch.from_numpy(test.images[chosen]).permute(0, 3, 1, 2).to(device).float() / 255
    labels = torch.from_numpy(test.labels[chosen]).to(device)
    return Batch(images, labels, np.array(test.ids[chosen]), np.array(test.groups[chosen]), examples)


def _save_clean(run: Run, test: Split, masks: Tensor, out: Path, device: torch.device) -> None:
    predictions, margins = [], []
    with torch.no_grad():
        for start in range(0, len(test), 500):
            part = _batch(test, np.arange(start, min(start + 500, len(test))), device)
            logits = FrozenModel(run.network, masks[start : start + 500], run.strategy.fill)(part.images)
            predictions.append(logits.argmax(1).cpu().numpy())
            margins.append(margin(logits, part.labels).cpu().numpy())
    clean = {"image": test.ids, "label": test.labels, "group": test.groups}
    clean |= {"pred": np.concatenate(predictions), "margin": np.concatenate(margins)}
    artifacts.save_table(out / "clean.parquet", pandas.DataFrame(clean).astype({"label": "int16", "pred": "int16"}))


def _accesses(run: Run, batch: Batch, masks: Tensor) -> list[Access]:
    if run.full_network is None:
        return [accesses.full(run.network, masks)]
    return accesses.of_pruned(run.network, run.full_network, masks, run.strategy.fill, batch.ids)


def _attack(
    run: Run, batch: Batch, masks: Tensor, folder: Path
) -> tuple[pandas.DataFrame, dict[tuple[str, str], Tensor], pandas.DataFrame]:
    tables: list[pandas.DataFrame] = []
    examples: dict[tuple[str, str], Tensor] = {}
    unbounded = None
    for access in _accesses(run, batch, masks):
        table, worst = climb(batch, access, run.threats, run.ladder, seed=run.seed, folder=folder)
        tables.append(table)
        examples |= {(access.name, threat): points for threat, points in worst.items()}
        broken = table[(table["adv_pred"] != table["label"])]["image"].nunique()
        print(f"  {access.name}: {len(batch) - broken} of {len(batch)} images stand at every eps", flush=True)
        if access.name == run.headline:
            ladder = {"pgd100": UNBOUNDED_ATTACK}
            unbounded, _ = climb(
                batch, access, {UNBOUNDED: UNBOUNDED_THREAT}, ladder, seed=run.seed, folder=folder
            )  # fmt: skip
    assert unbounded is not None
    return pandas.concat(tables, ignore_index=True), examples, unbounded


def _first(batch: Batch, count: int) -> Batch:
    few = slice(0, count)
    return Batch(batch.images[few], batch.labels[few], batch.ids[few], batch.groups[few], examples=count)


def _adaptive(
    run: Run, batch: Batch, examples: dict[tuple[str, str], Tensor], rank: Rank, smooth: Rank, folder: Path
) -> tuple[pandas.DataFrame, dict[tuple[str, str], Tensor]]:
    pruned = PrunedModel(run.network, rank, run.strategy.keep, run.strategy.fill)
    replayed = {place: points[: len(batch)] for place, points in examples.items() if place[0] in ("kept", "location")}
    table, worst = adaptive.measure(
        batch, pruned, smooth, run.threats, run.ladder, replayed,
        steps=run.settings.adaptive_steps, queries=run.settings.adaptive_queries, seed=run.seed, folder=folder,
    )  # fmt: skip
    broken = table[table["adv_pred"] != table["label"]]["image"].nunique()
    print(f"  adaptive: {len(batch) - broken} of {len(batch)} images stand at every eps", flush=True)
    return table, worst


def _checks(
    run: Run, batch: Batch, masks: Tensor, few: slice, rows: pandas.DataFrame, examples: dict[tuple[str, str], Tensor]
) -> list[Check]:
    key, threat = next(iter(run.threats.items()))
    pgd = [attack for attack in run.ladder.values() if isinstance(attack, PGD)]
    subject = checks.Subject(
        network=run.network, fill=run.strategy.fill, ids=batch.ids[few], images=batch.images[few],
        labels=batch.labels[few],
        mask=torch.ones_like(masks[few]) if run.full_network is None else masks[few],
        threat=threat, ladder=run.ladder, pgd=pgd[-1] if pgd else PGD(steps=20),
        estimator=estimator_of(batch.images.device), behaviour=run.strategy.behaviour,
        transferred=None if run.full_network is None else examples["location", key][few], seed=run.seed,
    )  # fmt: skip
    single = [key for key, attack in run.ladder.items() if isinstance(attack, FGSM)]
    iterative = [key for key, attack in run.ladder.items() if isinstance(attack, PGD)]
    found = [*row_checks(rows, single, iterative), _stored(run, batch, masks, rows, examples), *checks.run(subject)]
    return sorted(found, key=lambda check: int(check["id"].removeprefix("E")))


def _stored(
    run: Run, batch: Batch, masks: Tensor, rows: pandas.DataFrame, examples: dict[tuple[str, str], Tensor]
) -> Check:
    """E3: the stored adversarial images, classified anew, get the verdict of the rows; in 8 bits beside it."""
    count = batch.examples
    access = next(access for access in _accesses(run, batch, masks) if access.name == run.headline)
    model = narrow(access.model, torch.arange(count, device=batch.images.device))
    labels = batch.labels[:count]
    differ, right, rounded = 0, 0, 0
    for key, threat in run.threats.items():
        own = rows[(rows.access == access.name) & (rows.threat == key) & (rows.eps <= threat.headline)]
        broken = own[own.adv_pred != own.label].image.unique()
        stands = torch.from_numpy(~np.isin(batch.ids[:count], broken))
        points = examples[access.name, key]
        with torch.no_grad():
            again = (model(points).argmax(1) == labels).cpu()
            eight_bit = (model((points * 255).round() / 255).argmax(1) == labels).cpu()
        differ += int((again != stands).sum())
        right, rounded = right + int(again.sum()), rounded + int(eight_bit.sum())
    total = count * len(run.threats)
    found = f"{differ} differ; {right} of {total} stand in float32, {rounded} rounded to 8 bits"
    return check("E3", "stored examples keep their verdict", found, "0 images", "F", differ == 0)


def _corrupt(run: Run, test: Split, masks: Tensor, device: torch.device) -> pandas.DataFrame:
    chosen = subset(test.labels, min(run.settings.corruption_images, run.settings.images))
    batch, own = _batch(test, chosen, device), masks[torch.from_numpy(chosen).to(device)]

    def classify(images: Tensor, ids: NDArray[np.int64], index: Tensor) -> Tensor:
        if run.rank is None:
            return FrozenModel(run.network, own[index], run.strategy.fill)(images)
        return PrunedModel(run.network, run.rank, run.strategy.keep, run.strategy.fill)(images, ids)

    return corrupted.measure(batch, classify, run.corruptions, run.settings.severities, run.seed)
