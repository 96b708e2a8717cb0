"""Run by test_parallel: trains a network without BatchNorm, whose full-batch gradient is the mean over equal parts."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pixelprune import artifacts, parallel
from pixelprune.fills.black import Black
from pixelprune.training import loop
from pixelprune.training.natural import Natural


def main(state: Path, out: Path) -> None:
    parallel.start()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (48, 3, 8, 8), dtype=np.uint8))
    data = loop.Images(images, torch.arange(48) % 4, torch.ones(48, 1, 8, 8, dtype=torch.bool))
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4))
    training = Natural(epochs=3, batch=12, learning_rate=0.05, validation_images=4)
    task = loop.Task(training, data, data, Black(name="black"), seed=0, masks="stay", bfloat16=False)
    state.mkdir(parents=True, exist_ok=True)
    outcome = loop.train(network, task, state, each_epoch=lambda line: None)
    if parallel.first():
        artifacts.save_tensors(out / "last.safetensors", outcome.last)
        artifacts.save_json(out / "curve.json", outcome.curve)
        (out / "processes").write_text(str(parallel.count()))
    parallel.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
