"""Training on images as they are: a plain float32 loop over a DataLoader, as it is written everywhere.

Speed on equal batches; accuracy of the whole recipe on all test images, the peer's kept as its rows.
"""

import copy
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas
import torch
from common import models, results, rows, timing
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from pixelprune import artifacts, cli, compat, params, runtime, selecting
from pixelprune.datasets import split
from pixelprune.datasets.split import Split
from pixelprune.fills.black import Black
from pixelprune.models import store
from pixelprune.models.catalog import Network
from pixelprune.training import loop
from pixelprune.training.natural import Natural
from pixelprune.training.run import build

IMAGES = {"small-natural": 2560, "resnet18-natural": 256}
"""Images of one timed epoch."""
ACCURACY = "small-natural"
"""The model whose recipe the peer trains to its end; an hour of ResNet-18 is not spent here."""
PEER = f"a DataLoader, torch {torch.__version__}"


@dataclass(frozen=True)
class Recipe:
    """What both sides train with."""

    network: Network
    training: Natural
    data: Split
    classes: int

    @classmethod
    def of(cls, name: str) -> "Recipe":
        study = models.HERE / models.RUNS[name][0]
        values = params.read(study / "params.yaml")
        data = split.load(_raw(name), "train")
        keep = np.ones(len(data), bool) if data.validation is None else ~data.validation
        part = Split(data.images[keep], data.labels[keep], data.ids[keep], data.groups[keep])
        return cls(
            network=params.validated(values["network"], Network),
            training=params.validated(values["trainings"]["natural"], Natural),
            data=part,
            classes=len(split.load_card(_raw(name))["classes"]),
        )

    def build(self) -> nn.Module:
        images = torch.from_numpy(np.array(self.data.images)).permute(0, 3, 1, 2)
        return build(self.network, self.classes, images, 0, torch.device("cpu"))


class Pictures(Dataset[tuple[torch.Tensor, int]]):
    """Items as torchvision's data sets give them: a PIL image through random crop, flip and ToTensor."""

    def __init__(self, data: Split, shift: int) -> None:
        from PIL import Image

        transforms = compat.torchvision().transforms
        self.images = [Image.fromarray(image) for image in data.images]
        self.labels = data.labels
        side = data.images.shape[1]
        crop = transforms.RandomCrop(side, padding=shift, padding_mode="reflect")
        self.transform = transforms.Compose([crop, transforms.RandomHorizontalFlip(), transforms.ToTensor()])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[index]), int(self.labels[index])


def main() -> None:
    runtime.prepare()
    entries = []
    for name, count in IMAGES.items():
        if is_there(name):
            entries.append(_compare(name, count))
        else:
            entries.append(results.not_run("no data yet, see `make bench`", subject="training", model=name))
    results.replace("training", entries)


def is_there(name: str) -> bool:
    """Whether the data are there that a model learns from."""
    return (_raw(name) / "card.json").is_file()


def _raw(name: str) -> Path:
    return models.HERE / models.RUNS[name][0] / "data/raw"


def _compare(name: str, count: int) -> results.Entry:
    recipe = Recipe.of(name)
    few = Split(*(getattr(recipe.data, field)[:count] for field in ("images", "labels", "ids", "groups")))
    short = recipe.training.model_copy(update={"epochs": 1, "validation_images": 1, "validation_steps": 1})
    task = _task(few, short)
    pictures, network = Pictures(few, short.shift), recipe.build()
    times = timing.alternate({
        "ours": lambda: loop.train(copy.deepcopy(network), task, None, each_epoch=lambda _: None),
        "peer": lambda: plain(copy.deepcopy(network), pictures, short),
    })  # fmt: skip
    entry = results.entry(
        subject="training", model=name, peer="DataLoader, float32", n=count, ours_s=times["ours"], peer_s=times["peer"],
        ratio=times["peer"] / times["ours"], machine=timing.machine(),
        measured={"ours, images/s": count / times["ours"], "peer, images/s": count / times["peer"]},
    )  # fmt: skip
    print(f"training, {name}: {count / times['ours']:.0f} and {count / times['peer']:.0f} images/s", flush=True)
    if name == ACCURACY:
        entry["measured"] |= _accuracies(name)
    return entry


def _task(data: Split, training: Natural) -> loop.Task:
    images = torch.from_numpy(np.array(data.images)).permute(0, 3, 1, 2).contiguous()
    all_kept = torch.ones_like(images[:, :1], dtype=torch.bool)
    learned = loop.Images(images, torch.from_numpy(np.array(data.labels)), all_kept)
    return loop.Task(
        training=training, train=learned, validation=loop.Images(*(part[:1] for part in vars(learned).values())),
        fill=Black(name="black"), seed=0, masks="stay",
        bfloat16=runtime.computes_bfloat16(torch.device("cpu")),
    )  # fmt: skip


def plain(network: nn.Module, pictures: Pictures, training: Natural) -> None:
    """SGD with our options and schedule, float32, items from a DataLoader."""
    batches = len(pictures) // training.batch
    steps = training.epochs * batches
    optimizer = torch.optim.SGD(
        network.parameters(), training.learning_rate, momentum=0.9, nesterov=True, weight_decay=training.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: loop.learning_rate(step, steps, 1.0))
    loader = DataLoader(pictures, training.batch, shuffle=True, drop_last=True)
    network.train()
    start = time.monotonic()
    for epoch in range(training.epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
            schedule.step()
        if training.epochs > 1:
            left = (time.monotonic() - start) / (epoch + 1) * (training.epochs - epoch - 1)
            print(f"  the peer's training: epoch {epoch + 1} of {training.epochs}, {left:.0f} s left", flush=True)


def compute_rows(name: str = ACCURACY) -> pandas.DataFrame:
    """The peer's verdict on every test image after the whole recipe; trains where that is not there."""
    place, recipe = rows.FOLDER / f"dataloader-{name}.parquet", Recipe.of(name)
    parts = [part.model_dump(mode="json") for part in (recipe.network, recipe.training)]
    options = json.dumps(parts, sort_keys=True)  # the same whatever order a class lists its fields in
    if place.exists():
        table = artifacts.load_table(place)
        if set(table.options) == {options}:
            return table
    torch.manual_seed(0)
    network = recipe.build()
    with timing.stopwatch() as watch:
        plain(network, Pictures(recipe.data, recipe.training.shift), recipe.training)
    test = split.load(_raw(name), "test")
    table = pandas.DataFrame({
        "image": test.ids, "clean": _right(network.eval(), test), "seconds": watch.seconds, "peer": PEER,
        "options": options,
    })  # fmt: skip
    artifacts.save_table(place, table)
    return table


def _accuracies(name: str) -> dict[str, float | None]:
    ours, place = None, rows.FOLDER / f"dataloader-{name}.parquet"
    if models.is_there(name):
        recipe = Recipe.of(name)
        network = selecting.build_network(recipe.network, recipe.classes)
        test = split.load(_raw(name), "test")
        ours = float(_right(store.load_into(models.folder(name) / "model.safetensors", network), test).mean())
    theirs = float(artifacts.load_table(place).clean.mean()) if place.exists() else None
    return {"our accuracy": ours, "the peer's": theirs}


def _right(network: nn.Module, test: Split) -> NDArray[np.bool_]:
    images = torch.from_numpy(np.array(test.images)).permute(0, 3, 1, 2).float() / 255
    return rows.right(network, images, torch.from_numpy(np.array(test.labels))).numpy()


if __name__ == "__main__":
    cli.run(main, __doc__)
