"""transfer: try the stored adversarial images of every run on every other run.

python stages/transfer.py
  reads   data/raw/, data/pruned/, models/, results/ of the runs that params.yaml names
  writes  transfer/rows.parquet    one row a target x source x threat x image
          transfer/checks.json     check E29 of each run
  removes folders of runs that params.yaml no longer names: left alone, they would make the folders' hashes differ
"""

from pathlib import Path

import numpy as np
import pandas
import torch

from pixelprune import artifacts, cli, orphans, params, pruned, runtime, selecting
from pixelprune.attacks.threat import Threat
from pixelprune.datasets import split
from pixelprune.datasets.split import Split
from pixelprune.harness import accesses, transfer
from pixelprune.harness.transfer import Target


def main() -> None:
    runtime.prepare()
    device = runtime.device()
    values = params.read()
    axes = (values["strategies"], values["trainings"], values["seeds"])
    places = [f"{strategy}/{training}/{seed}" for strategy in axes[0] for training in axes[1] for seed in axes[2]]
    threats = params.load("threats", dict[str, Threat])
    with cli.timed("transfer"):
        orphans.remove(Path("."), *axes, values["segmenters"])
        test = split.load(Path("data/raw"), "test")
        ids = artifacts.load_array(Path("results", places[0], "examples/ids.npy"), "int64", "N")
        row = {int(image): position for position, image in enumerate(test.ids)}
        chosen = np.array([row[int(image)] for image in ids])
        images = torch.from_numpy(test.images[chosen]).permute(0, 3, 1, 2).to(device).float() / 255
        labels = torch.from_numpy(test.labels[chosen]).to(device)
        points = {place: {key: _points(place, key, len(ids)).to(device) for key in threats} for place in places}
        tables, checks = [], {}
        for place in cli.progress(places, "transfer"):
            others = {other: found for other, found in points.items() if other != place}
            table = transfer.tried(_target(place, test, chosen, device), others, threats, images, labels, ids)
            tables.append(table)
            checks[place] = transfer.examined(table)
        artifacts.save_table(Path("transfer/rows.parquet"), pandas.concat(tables, ignore_index=True))
        artifacts.save_json(Path("transfer/checks.json"), checks)
    print(f"transfer: {len(places)} runs, {sum(check['verdict'] == 'fail' for check in checks.values())} fail E29")


def _target(place: str, test: Split, chosen: np.ndarray, device: torch.device) -> Target:
    strategy = place.split("/")[0]
    kind = pruned.load(Path("data/pruned", strategy))
    masks = kind.masks("test", len(test))[torch.from_numpy(chosen)].to(device)
    network = selecting.load_network(Path("models", place)).to(device)
    access = accesses.full(network, masks) if strategy == "none" else accesses.kept(network, masks, kind.fill)
    return Target(place, access, artifacts.load_table(Path("results", place, "rows.parquet")))


def _points(place: str, threat: str, count: int) -> torch.Tensor:
    """The worst adversarial images of a run under its headline access."""
    access = "full" if place.startswith("none/") else "kept"
    path = Path("results", place, f"examples/{access}_{threat}.npy")
    return torch.from_numpy(np.array(artifacts.load_array(path, "float32", "N C H W")[:count]))


if __name__ == "__main__":
    cli.run(main, __doc__)
