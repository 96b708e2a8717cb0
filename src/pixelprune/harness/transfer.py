"""The stored adversarial images of every run, tried on every other run of the study.

Source: Carlini et al., "On Evaluating Adversarial Robustness", arXiv:1902.06705, section 4.8: what transfers from a
near twin and is not found by the direct attack shows that the direct attack is blind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelprune import artifacts, cli, pruned, selecting
from pixelprune.attacks.replayed import Replayed
from pixelprune.attacks.threat import Threat
from pixelprune.datasets import split
from pixelprune.draws import Draws
from pixelprune.evaluation.check import Check, check
from pixelprune.evaluation.worst_case import standing
from pixelprune.harness import accesses
from pixelprune.harness.accesses import Access
from pixelprune.harness.job import batch_of
from pixelprune.harness.ladder import Batch

OWN_PIXELS = "none on these pixels"
"""The source of points that were made on the full model where the target's mask is open: the access location."""
COLUMNS = {"target": "str", "source": "str", "threat": "str", "image": "int64", "stood": "bool", "right": "bool"}


def measure(
    places: Sequence[str], threats: Mapping[str, Threat], device: torch.device
) -> tuple[pandas.DataFrame, dict[str, Check]]:
    """Rows of all pairs of runs of the study in the current folder, and check E29 of each. places: s/t/seed."""
    test = split.load(Path("data/raw"), "test")
    ids = artifacts.load_array(Path("results", places[0], "examples/ids.npy"), "int64", "N")
    row = {int(image): position for position, image in enumerate(test.ids)}
    chosen = np.array([row[int(image)] for image in ids])
    batch = batch_of(test, chosen, device)
    points = {place: {key: _points(place, key, len(ids)).to(device) for key in threats} for place in places}
    tables, checks = [], {}
    for place in cli.progress(places, "transfer"):
        others = {other: found for other, found in points.items() if other != place}
        if not place.startswith("none/"):
            others[OWN_PIXELS] = {key: _points(place, key, len(ids), "location").to(device) for key in threats}
        tables.append(tried(_target(place, len(test), chosen, device), others, threats, batch))
        checks[place] = examined(tables[-1])
    return pandas.concat(tables, ignore_index=True), checks


@dataclass(frozen=True)
class Target:
    """A run under its headline access, on the images whose examples are kept."""

    place: str
    """strategy/training/seed"""
    access: Access
    rows: pandas.DataFrame


def tried(
    target: Target, sources: Mapping[str, Mapping[str, Tensor]], threats: Mapping[str, Threat], batch: Batch
) -> pandas.DataFrame:  # fmt: skip
    """One row a source x threat x image: whether it stood under the target's own ladder, and is right on this point.

    sources: place -> threat -> points float32 (N, C, H, W) of these images. They are drawn into the target's mask.
    """
    tables = [pandas.DataFrame(columns=list(COLUMNS))]
    for place, points in sources.items():
        for key, threat in threats.items():
            stood = (
                standing(target.rows, target.access.name, key, threat.headline).reindex(batch.ids).to_numpy(np.bool_)
            )
            found = Replayed(points[key])(
                target.access.model, batch.images, batch.labels,
                ball=threat.ball(), mask=target.access.mask, draws=Draws.of(batch.ids),
            )  # fmt: skip
            with torch.no_grad():
                right = (target.access.model(found).argmax(1) == batch.labels).cpu().numpy()
            column = {"target": target.place, "source": place, "threat": key, "image": batch.ids}
            tables.append(pandas.DataFrame(column | {"stood": stood, "right": right}))
    return pandas.concat(tables, ignore_index=True).astype(COLUMNS)


def examined(table: pandas.DataFrame) -> Check:
    """E29, from the rows of one target."""
    title, limit = "attacks on other runs break no more", "0.2 % of the images, or 1"
    if table.empty:
        return check("E29", title, "this is the only run", limit, "F", None)
    others, found, passed = table["source"].nunique(), [], True
    for threat, rows in table.groupby("threat", sort=False):
        by_image = rows.groupby("image")[["stood", "right"]].all()
        fell = int((by_image["stood"] & ~by_image["right"]).sum())
        passed &= fell <= max(1, round(0.002 * len(by_image)))
        under = f"under {threat}, " if table["threat"].nunique() > 1 else ""
        found.append(f"{under}of {int(by_image['stood'].sum())} that stand, {fell} fall")
    return check("E29", title, f"{'; '.join(found)} to points from {others} other places", limit, "F", passed)


def _target(place: str, tested: int, chosen: NDArray[np.int64], device: torch.device) -> Target:
    strategy = place.split("/")[0]
    kind = pruned.load(Path("data/pruned", strategy))
    masks = kind.masks("test", tested)[torch.from_numpy(chosen)].to(device)
    network = selecting.load_network(Path("models", place)).to(device)
    access = accesses.full(network, masks) if strategy == "none" else accesses.kept(network, masks, kind.fill)
    return Target(place, access, artifacts.load_table(Path("results", place, "rows.parquet")))


def _points(place: str, threat: str, count: int, access: str | None = None) -> Tensor:
    """The worst adversarial images that a run keeps of this access, of its headline's where left out."""
    access = access or ("full" if place.startswith("none/") else "kept")
    path = Path("results", place, f"examples/{access}_{threat}.npy")
    return torch.from_numpy(np.array(artifacts.load_array(path, "float32", "N C H W")[:count]))
