"""From the artifacts of a run to what a measure is given, and from what it found to files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelprune import artifacts, pruned, sampling, selecting
from pixelprune.attacks.threat import Threat
from pixelprune.datasets import split
from pixelprune.datasets.split import Split
from pixelprune.measures.measure import Measured, MeasureOptions, Seen, Subject
from pixelprune.pruning import PrunedModel

HELD_OUT = 1000
"""Images beside the test images that a measure may learn from, at most."""


def measure(
    options: MeasureOptions, threat: Threat, *, raw: Path, pruned_folder: Path, model: Path, out: Path,
    seed: int, device: torch.device, tell: Callable[[str], None],
) -> Measured:  # fmt: skip
    """What the measure found, written as summary.json, tables and pictures into `out`."""
    strategy, rank = pruned.load(pruned_folder), selecting.load(pruned_folder).rank()
    network = selecting.load_network(model).to(device)
    test, train = split.load(raw, "test"), split.load(raw, "train")
    subject = Subject(
        network=network,
        fill=strategy.fill,
        test=_seen(test, strategy.masks("test", len(test)), sampling.attacked(test.labels, options.images), device),
        held_out=_seen(train, strategy.masks("train", len(train)), _held_out(train), device),
        threat=threat,
        seed=seed,
        pruned=None if rank is None else PrunedModel(network, rank, strategy.keep, strategy.fill),
        tell=tell,
    )
    found = options(subject)
    _save(found, options, threat, out)
    return found


def _seen(data: Split, masks: Tensor, chosen: NDArray[np.int64], device: torch.device) -> Seen:
    images = torch.from_numpy(data.images[chosen]).permute(0, 3, 1, 2).to(device).float() / 255
    labels = torch.from_numpy(data.labels[chosen]).to(device)
    return Seen(images, labels, np.array(data.ids[chosen]), masks[torch.from_numpy(chosen)].to(device))


def _held_out(train: Split) -> NDArray[np.int64]:
    """The validation part, in random order; without one, images that were learned from."""
    rows = np.arange(len(train))
    if train.validation is not None and train.validation.any():
        rows = np.flatnonzero(train.validation)
    return np.asarray(rows[sampling.attacked(train.labels[rows], HELD_OUT)])


def _save(found: Measured, options: MeasureOptions, threat: Threat, out: Path) -> None:
    for name, table in found.tables.items():
        artifacts.save_table(out / f"{name}.parquet", table)
    for name, picture in found.pictures.items():
        artifacts.save_array(out / f"{name}.npy", picture)
    made = {"measure": options.model_dump(mode="json"), "threat": threat.at_headline.model_dump(mode="json")}
    artifacts.save_json(out / "summary.json", made | found.summary)
