"""The training of one run, from files to files: data, masks and options in; weights, curve and card out."""

import inspect
from pathlib import Path
from typing import Any, Final, Literal

import pandas
import torch

from pixelprune import artifacts, closure, parallel, pruned, runtime, sampling, state
from pixelprune.datasets import split
from pixelprune.errors import ParamsError
from pixelprune.models import store
from pixelprune.models.network import NetworkOptions, Normalize, multiply_adds
from pixelprune.training import loop
from pixelprune.training.recipe import TrainingOptions, Validated

MASKS: Final[dict[str, Literal["stay", "move", "redrawn"]]] = {"static": "stay", "dynamic": "move", "random": "redrawn"}
"""By the strategy's behaviour; an oracle's belong to the content of their images."""


def train(
    network: NetworkOptions,
    training: TrainingOptions,
    seed: int,
    *,
    raw: Path,
    pruned_folder: Path,
    out: Path,
    device: torch.device,
) -> dict[str, Any]:
    """Trains, writes model.safetensors, last.safetensors, curve.csv and card.json into `out`; returns the card.

    A killed training goes on from its last whole epoch and ends with the bytes of an undisturbed one.
    """
    strategy, data = pruned.load(pruned_folder), split.load(raw, "train")
    classes = split.load_card(raw)["classes"]
    masks = strategy.masks("train", len(data)).to(device)
    task = loop.Task(
        training=training,
        train=part(data, masks, device, held_out=False),
        validation=part(data, masks, device, held_out=True),
        fill=strategy.fill,
        seed=seed,
        masks="move" if strategy.oracle else MASKS[strategy.behaviour],
        bfloat16=runtime.computes_bfloat16(device),
    )
    model = build(network, len(classes), task.train.images, seed, device)
    files = [raw / f"train/{name}.npy" for name in ("images", "labels", "validation")]
    name = state.fingerprint(
        network=network.model_dump(mode="json"),
        training=training.model_dump(mode="json"),
        seed=seed,
        files=[state.file_digest(path) for path in [*files, pruned_folder / "train.npy", pruned_folder / "card.json"]],
        code=closure.digest(sources(network, training)),
        device=[device.type, task.bfloat16, parallel.count()],
    )
    with state.locked(name) as folder:
        outcome = loop.train(model, task, folder, each_epoch=lambda line: print(f"  {line}", flush=True))
        card = described(network, training, model, strategy, classes, seed) | {
            "best_epoch": outcome.best_epoch,
            "epochs": training.epochs,
            "alarm": outcome.alarm,
            "selected_by": f"{training.select} accuracy on the {validation_name(data)}",
            **accuracies(outcome.curve[outcome.best_epoch - 1]),
            **{f"last_{name}": value for name, value in accuracies(outcome.curve[-1]).items()},
            "train_images": len(task.train),
            "validation_images": len(task.validation),
        }
        artifacts.save_tensors(out / "last.safetensors", outcome.last)
        write(out, model, outcome.curve, card)
        parallel.wait()
        if parallel.first():
            state.forget(folder)
    return card


def sources(network: NetworkOptions, training: TrainingOptions) -> set[Path]:
    """The files that decide the outcome. The members' own are imported by the stage, not from here."""
    own = (Path(inspect.getfile(type(member))) for member in (network, training))
    return set().union(*(closure.closure(file) for file in (Path(__file__), *own)))


def build(
    network: NetworkOptions, classes: int, images: torch.Tensor, seed: int, device: torch.device
) -> torch.nn.Module:
    """The network with its first weights, normalizing by the statistics of images uint8 (N, 3, H, W).

    Raises ParamsError where the network cannot take images of that size.
    """
    model = network.build(classes, sampling.torch_generator(seed, "weights"))
    try:
        multiply_adds(model, *images.shape[2:])
    except RuntimeError as error:
        size = " x ".join(map(str, images.shape[2:]))
        raise ParamsError(
            f"network {network.name}: cannot take images of {size} ({' '.join(str(error).split())[:200]}). "
            "Choose another network, or another size of the data set where it has that option."
        ) from None
    for module in model.modules():
        if isinstance(module, Normalize):
            module.fit(images.cpu())
    return model.to(device)


def part(data: split.Split, masks: torch.Tensor, device: torch.device, *, held_out: bool) -> loop.Images:
    """The validation part, or what is left to train on. Without a validation part both are the training images."""
    validation = data.validation
    chosen = torch.ones(len(data), dtype=torch.bool)
    if validation is not None and validation.any():
        chosen = torch.from_numpy(validation == held_out)
    rows = chosen.nonzero().squeeze(1)
    if held_out:  # a short attack reads the first of them: let those be of all classes
        rows = rows[torch.randperm(len(rows), generator=sampling.torch_generator(0, "validation order"))]
    images = torch.from_numpy(data.images[rows.numpy()]).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(data.labels[rows.numpy()])
    return loop.Images(images.to(device), labels.to(device), masks[rows.to(device)])


def validation_name(data: split.Split) -> str:
    """What `part` gives as held out, in words."""
    return "validation part" if data.validation is not None and data.validation.any() else "training images"


def described(
    network: NetworkOptions,
    training: Validated,
    model: torch.nn.Module,
    strategy: pruned.Pruned,
    classes: list[str],
    seed: int,
) -> dict[str, Any]:
    """What a card says of any model, however it came by its weights."""
    return {
        "network": network.model_dump(mode="json"),
        "training": training.model_dump(mode="json"),
        "classes": classes,
        "seed": seed,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "macs": multiply_adds(model, strategy.height, strategy.width),
    }


def accuracies(row: dict[str, float]) -> dict[str, float]:
    """Those of a row of the curve, as a card names them."""
    return {name: round(row[name], 4) for name in ("validation_clean", "validation_robust")}


def write(out: Path, model: torch.nn.Module, curve: list[dict[str, float]], card: dict[str, Any]) -> None:
    """model.safetensors, curve.csv with a row an epoch, card.json."""
    store.save(out / "model.safetensors", model)
    # Named, in this order: after a resume the rows come from JSON, whose keys are sorted.
    table = pandas.DataFrame(curve, columns=list(loop.CURVE)).astype({"epoch": int})
    artifacts.save_text(out / "curve.csv", table.to_csv(index=False, float_format="%.6g"))
    artifacts.save_json(out / "card.json", card)
