"""Run by test_parallel under torchrun: climbs a ladder in chunks of four images and writes what came of it."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pixelprune import parallel
from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.noise import Noise
from pixelprune.attacks.square import Square
from pixelprune.attacks.threat import Threat
from pixelprune.harness import accesses, ladder
from pixelprune.harness.ladder import Batch

N = 18


def main(state: Path, out: Path) -> None:
    parallel.start()
    torch.set_num_threads(1)
    ladder.CHUNK = 4
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    network = (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4)).eval().requires_grad_(False)
    )
    images = torch.rand(N, 3, 8, 8, generator=generator)
    batch = Batch(images, network(images).argmax(1), np.arange(N), np.arange(N), examples=7)
    masks = torch.rand(N, 1, 8, 8, generator=generator) < 0.7
    state.mkdir(parents=True, exist_ok=True)
    table, examples = ladder.climb(
        batch, accesses.full(network, masks), {"linf": Threat(eps=(0.01, 0.03))},
        {"noise": Noise(draws=3), "apgd": APGD(steps=8), "square": Square(queries=30)}, seed=0, folder=state,
    )  # fmt: skip
    if parallel.first():
        out.mkdir(parents=True)
        table.to_csv(out / "rows.csv")
        np.save(out / "examples.npy", examples["linf"].numpy())
        (out / "processes").write_text(str(parallel.count()))
    parallel.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
