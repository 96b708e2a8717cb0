"""The networks that are attacked, and the test images they are attacked on.

They are runs of the two studies beside this folder. Weights that lie in `weights/` are used as they are, wherever they
were trained; those of the small network are kept in git, since the peers' rows are of no use without them.

python -m common.models [train]    makes images and masks; with "train" also the weights that are missing
"""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pixelprune import artifacts, cli, params, pruned, selecting, state
from pixelprune.datasets import split
from pixelprune.errors import ParamsError
from pixelprune.fills.fill import FillOptions
from pixelprune.harness import accesses
from pixelprune.harness.accesses import Access
from pixelprune.models import store
from pixelprune.models.catalog import Network

HERE = Path(__file__).resolve().parents[1]

RUNS = {
    "small-natural": ("small", "none", "natural"),
    "small-n_fgsm": ("small", "none", "n_fgsm"),
    "small-pgd": ("small", "none", "pgd"),
    "small-random-n_fgsm": ("small", "random", "n_fgsm_short"),
    "small-centre-n_fgsm": ("small", "centre", "n_fgsm_short"),
    "resnet18-natural": ("resnet18", "none", "natural"),
    "resnet18-n_fgsm": ("resnet18", "none", "n_fgsm"),
}
"""Name -> study, strategy, training."""
WEIGHTS = HERE / "weights"
"""Of each model a folder: what is attacked needs no more of its run."""
KEPT = ("model.safetensors", "card.json")

IMAGES = {"small": 500, "resnet18": 64}
"""Test images that accuracies are taken on: the first ones of the test part, which is in random order."""
CHUNKS = {"small": 50, "resnet18": 32}
"""Of them, how many a peer gets at once: what a killed run loses of its rows."""


@dataclass(frozen=True)
class Subject:
    """A trained model and the images it is attacked on, for both sides of a comparison."""

    name: str
    digest: str
    """Of the weights and of the mask."""
    original: nn.Module
    """The model as any library would be given it: float32, eval mode, pruning and normalization inside."""
    network: nn.Module
    """The same network as our pipeline attacks it, without the pruning."""
    fill: FillOptions
    images: Tensor
    """float32 (N, 3, H, W) in [0, 1]."""
    labels: Tensor
    ids: NDArray[np.int64]
    mask: Tensor
    """bool (N, 1, H, W), the kept pixels: where an attacker can change anything."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def access(self) -> Access:
        """For these N images, as the attack stage makes it."""
        if bool(self.mask.all()):
            return accesses.full(self.network, self.mask)
        return accesses.kept(self.network, self.mask, self.fill)

    def part(self, few: slice) -> "Subject":
        """The model with some of its images."""
        return Subject(
            self.name, self.digest, self.original, self.network, self.fill,
            self.images[few], self.labels[few], self.ids[few], self.mask[few],
        )  # fmt: skip


class Masked(nn.Module):
    """A network behind one mask for all images, as a module: the peers know no masks."""

    mask: Tensor

    def __init__(self, network: nn.Module, mask: Tensor, fill: FillOptions) -> None:
        """mask: bool (1, 1, H, W)."""
        super().__init__()
        self.network = network
        self.register_buffer("mask", mask)
        self.fill = fill

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(self.fill(images, self.mask.expand(len(images), -1, -1, -1)))
        return logits


def folder(name: str) -> Path:
    """Where the weights of a model lie."""
    return WEIGHTS / name


def is_there(name: str) -> bool:
    return (folder(name) / "model.safetensors").is_file()


def chosen(model: str, names: Iterable[str]) -> list[str]:
    """The names that are this model's, all where it is "". Raises ParamsError where there are none."""
    names = list(names)
    found = [name for name in names if model in ("", name)]
    if not found:
        raise ParamsError(f"found model {model!r}, expected one of {', '.join(dict.fromkeys(names))}")
    return found


def images_of(name: str) -> int:
    return IMAGES[RUNS[name][0]]


def chunk_of(name: str) -> int:
    return CHUNKS[RUNS[name][0]]


def load(name: str) -> Subject:
    """A model with all its images, on the CPU. Raises ArtifactError where its weights are missing."""
    study, strategy, _ = RUNS[name]
    data, masks_of = HERE / study / "data", HERE / study / "data/pruned" / strategy
    test, count = split.load(data / "raw", "test"), images_of(name)
    kept, card = pruned.load(masks_of), artifacts.load_json(folder(name) / "card.json")
    masks = kept.masks("test", len(test))
    assert bool((masks == masks[:1]).all()), f"{name}: the peers need one mask for all images"
    options = params.validated(card["network"], Network, "network.", folder(name) / "card.json")
    original = store.load_into(
        folder(name) / "model.safetensors", selecting.build_network(options, len(card["classes"]))
    )
    digests = [state.file_digest(path) for path in (folder(name) / "model.safetensors", masks_of / "test.npy")]
    return Subject(
        name=name,
        digest=f"{digests[0][:16]}-{digests[1][:8]}",
        original=original if kept.keep == 1 else Masked(original, masks[:1], kept.fill).eval(),
        network=selecting.load_network(folder(name)),
        fill=kept.fill,
        images=torch.from_numpy(np.array(test.images[:count])).permute(0, 3, 1, 2).float().contiguous() / 255,
        labels=torch.from_numpy(np.array(test.labels[:count])),
        ids=np.array(test.ids[:count]),
        mask=masks[:count],
    )


def main(train: str = "") -> None:
    if train not in ("", "train"):
        raise ParamsError(f"found {train!r}, expected train, or nothing")
    prepare(bool(train))


def prepare(train: bool) -> None:
    """Images and masks of all models; where they are to be trained, the weights that are not there."""
    made = set()
    for name, (study, strategy, training) in RUNS.items():
        wanted = train and not is_there(name)
        stage = f"train@{strategy}-{training}-0" if wanted else f"prune@{strategy}"
        target = f"{HERE.name}/{study}/dvc.yaml:{stage}"
        if target not in made:
            made.add(target)
            subprocess.run([sys.executable, "-m", "dvc", "repro", target], cwd=HERE.parent, check=True)
        if wanted:
            folder(name).mkdir(parents=True, exist_ok=True)
            for file in reversed(KEPT):  # the weights come last: with them the model is there
                shutil.copyfile(HERE / study / "models" / strategy / training / "0" / file, folder(name) / file)


if __name__ == "__main__":
    cli.run(main, __doc__)
