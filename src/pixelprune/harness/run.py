"""The evaluation of one run, from artifacts to artifacts: clean accuracy, the ladder, corruptions, checks."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelprune import artifacts, closure, sampling
from pixelprune.attacks.losses import margin
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.threat import Threat
from pixelprune.datasets.split import Split
from pixelprune.evaluation.rows import UNBOUNDED
from pixelprune.harness import adaptive, background, by_chance, corrupted, smallest
from pixelprune.harness.examine import examine
from pixelprune.harness.job import Run, batch_of
from pixelprune.harness.ladder import Batch, climb
from pixelprune.pruning import FrozenModel

EXAMPLES = 64
"""Adversarial images kept of an access and threat; at least those that the checks look at."""
UNBOUNDED_THREAT = Threat(norm="linf", eps=(1.0,))
UNBOUNDED_ATTACK = PGD(steps=100, relative_step=0.1)
ELSEWHERE = ("attacks", "corruptions", "evaluation", "maps", "segmenters")
"""Rooms whose files do not decide what a finished part of the state means: they come after it, or name themselves. An
attack does so in the part, a map and its segmenter in the selector."""


def sources() -> set[Path]:
    """The files that decide what is attacked, and how: a finished part of other ones is not read back."""
    files = closure.closure(Path(__file__))
    return {file for file in files if file.parent.name not in ELSEWHERE}


def evaluate(run: Run, test: Split, out: Path, folder: Path, device: torch.device) -> dict[str, Any]:
    """Writes everything of results/P/T/s into `out`; returns the card. `folder`: state of this very run."""
    chosen = sampling.attacked(test.labels, run.settings.images)
    masks = run.strategy.masks("test", len(test)).to(device)
    artifacts.begin(out)
    _save_clean(run, test, masks, out, device)

    moved = min(run.settings.adaptive_images, len(chosen))
    examples_kept = max(EXAMPLES, run.settings.check_images, moved)
    batch = batch_of(test, chosen, device, examples=min(examples_kept, len(chosen)))
    own = masks[torch.from_numpy(chosen).to(device)]
    table, examples, unbounded = _attack(run, batch, own, folder)
    tables = [table, unbounded]
    iou = None
    if run.strategy.behaviour != "static" and moved:
        moving, worst, iou = _adaptive(run, batch.first(moved), examples, folder)
        tables.append(moving)
        examples |= worst
    rows = pandas.concat(tables, ignore_index=True)
    findings = examine(run, batch, own, rows, examples, iou, folder)
    artifacts.save_table(out / "rows.parquet", rows)
    artifacts.save_array(out / "examples/ids.npy", batch.ids[: batch.examples])
    for (access, threat), points in examples.items():
        artifacts.save_array(out / f"examples/{access}_{threat}.npy", points.cpu().numpy())
    artifacts.save_table(out / "corruptions.parquet", _corrupt(run, test, masks, device))
    artifacts.save_json(out / "checks.json", findings)
    _save_further(run, batch, own, out, folder)
    card = {
        "behaviour": run.strategy.behaviour,
        "oracle": run.strategy.oracle,
        "attacked": len(chosen),
        "tested": len(test),
        "passes": {kind: int(rows[kind].sum()) for kind in ("forward", "backward")},
        "examined": next(iter(run.threats)),
        "ladder": {key: attack.model_dump(mode="json") for key, attack in run.ladder.items()},
        "threats": {key: threat.model_dump(mode="json") for key, threat in run.threats.items()},
    }
    return card


def _save_clean(run: Run, test: Split, masks: Tensor, out: Path, device: torch.device) -> None:
    predictions, margins = [], []
    with torch.no_grad():
        for start in range(0, len(test), 500):
            part = batch_of(test, np.arange(start, min(start + 500, len(test))), device)
            logits = FrozenModel(run.network, masks[start : start + 500], run.strategy.fill)(part.images)
            predictions.append(logits.argmax(1).cpu().numpy())
            margins.append(margin(logits, part.labels).cpu().numpy())
    clean = {"image": test.ids, "label": test.labels, "group": test.groups}
    clean |= {"pred": np.concatenate(predictions), "margin": np.concatenate(margins)}
    artifacts.save_table(out / "clean.parquet", pandas.DataFrame(clean).astype({"label": "int16", "pred": "int16"}))


def _attack(
    run: Run, batch: Batch, masks: Tensor, folder: Path
) -> tuple[pandas.DataFrame, dict[tuple[str, str], Tensor], pandas.DataFrame]:
    tables: list[pandas.DataFrame] = []
    examples: dict[tuple[str, str], Tensor] = {}
    unbounded = None
    for access in run.accesses(batch, masks):
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


def _adaptive(
    run: Run, batch: Batch, examples: dict[tuple[str, str], Tensor], folder: Path
) -> tuple[pandas.DataFrame, dict[tuple[str, str], Tensor], float | None]:
    """Rows, worst points, and the mean share of the mask that stays under those of the first threat; None where a mask
    answers by chance and not the attacker.
    """
    assert run.full_network is not None
    replayed = {place: points[: len(batch)] for place, points in examples.items() if place[0] in ("kept", "location")}
    effort: dict[str, Any] = {"steps": run.settings.adaptive_steps, "queries": run.settings.adaptive_queries}
    effort |= {"seed": run.seed, "folder": folder}
    iou = None
    if run.smooth is None:
        table, worst = by_chance.measure(batch, run.pruned, run.full_network, run.threats, replayed, **effort)
    else:
        table, worst = adaptive.measure(
            batch, run.pruned, run.smooth, run.full_network, run.threats, replayed, **effort
        )
        iou = adaptive.motion(run.pruned, batch, worst["adaptive", next(iter(run.threats))]).mean().item()
    broken = table[table["adv_pred"] != table["label"]]["image"].nunique()
    moved = "" if iou is None else f"; mask IoU {iou:.2f}"
    print(f"  adaptive: {len(batch) - broken} of {len(batch)} images stand at every eps{moved}", flush=True)
    return table, worst, iou


def _save_further(run: Run, batch: Batch, masks: Tensor, out: Path, folder: Path) -> None:
    """What a study has to ask for: another budget on the background, the smallest eps of each image."""
    settings = run.settings
    answers = run.rank is not None and run.strategy.behaviour != "random"
    if settings.background_images and run.full_network is not None and answers:
        few = batch.first(settings.background_images)
        table = background.measure(
            few, masks[: len(few)], run.pruned, run.smooth, run.full_network, run.threats,
            times=settings.background_times, steps=settings.adaptive_steps, queries=settings.adaptive_queries,
            seed=run.seed, folder=folder,
        )  # fmt: skip
        artifacts.save_table(out / "background.parquet", table)
    if settings.smallest_eps_images:
        few = batch.first(settings.smallest_eps_images)
        table = smallest.measure(few, run.own_access(few, masks[: len(few)]), run.threats, run.ladder, run.seed)
        artifacts.save_table(out / "smallest_eps.parquet", table)


def _corrupt(run: Run, test: Split, masks: Tensor, device: torch.device) -> pandas.DataFrame:
    chosen = sampling.attacked(test.labels, min(run.settings.corruption_images, run.settings.images))
    batch, own = batch_of(test, chosen, device), masks[torch.from_numpy(chosen).to(device)]

    def classify(images: Tensor, ids: NDArray[np.int64], index: Tensor) -> Tensor:
        if run.rank is None:
            return FrozenModel(run.network, own[index], run.strategy.fill)(images)
        return run.pruned(images, ids)

    return corrupted.measure(batch, classify, run.corruptions, run.settings.severities, run.seed)
