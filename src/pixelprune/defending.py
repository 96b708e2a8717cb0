"""From the artifacts of a run to what a defense is given to learn from, and back from files to a defended network."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pixelprune import artifacts, cli, params, pruned, runtime, sampling, selecting, state
from pixelprune.datasets import split
from pixelprune.defenses.catalog import Defense
from pixelprune.defenses.defense import DefenseOptions, Lesson, Perturb, as_they_are
from pixelprune.errors import ParamsError
from pixelprune.models.catalog import Network
from pixelprune.training import loop, run
from pixelprune.training.catalog import Training
from pixelprune.training.recipe import TrainingOptions

FACTS = ("randomised", "dynamic", "batch_coupled", "posterior")


@dataclass(frozen=True)
class Defended:
    """A network, in eval mode, its weights frozen, what was put around it, and what is known of that."""

    defense: DefenseOptions
    network: nn.Module
    learned: dict[str, Tensor]
    facts: dict[str, float]


def learn(
    defense: DefenseOptions, *, raw: Path, pruned_folder: Path, model: Path, out: Path, seed: int, device: torch.device
) -> dict[str, Any]:
    """Writes learned.safetensors and card.json into `out`; returns the card."""
    network = selecting.load_network(model).to(device)
    task = _task(model, raw, pruned_folder, seed, device)
    name = state.fingerprint(
        defense=defense.model_dump(mode="json"), seed=seed,
        files=[state.file_digest(path) for path in (model / "model.safetensors", raw / "train/images.npy")],
        device=[device.type, task.bfloat16],
    )  # fmt: skip
    with state.locked(name) as folder:
        lesson = Lesson(
            images=task.train.images,
            labels=task.train.labels,
            generator=sampling.torch_generator(seed, "defense", defense.name),
            tell=cli.teller(f"defend {defense.name}"),
            perturb=_perturb(task.training),
            again=_again(model, task, device, folder),
        )
        learned = defense.learn(network, lesson)
        card = {
            "defense": defense.model_dump(mode="json"),
            "declared": {fact: getattr(defense, fact) for fact in FACTS},
            "learned": sum(tensor.numel() for tensor in learned.values()),
            "facts": defense.facts(network, learned, *task.train.images.shape[2:]),
        }
        artifacts.save_tensors(out / "learned.safetensors", learned)
        artifacts.save_json(out / "card.json", card)
        state.forget(folder)
    return card


def load(folder: Path, model: Path, device: torch.device) -> Defended:
    """What `learn` wrote into `folder`, around the run in `model`. Raises ArtifactError where one is missing."""
    card = artifacts.load_json(folder / "card.json")
    defense = params.validated(card["defense"], Defense, "defense.", folder / "card.json")
    learned = artifacts.load_tensors(folder / "learned.safetensors")
    network = selecting.load_network(model).to(device)
    return Defended(defense, network, {name: tensor.to(device) for name, tensor in learned.items()}, card["facts"])


def _task(model: Path, raw: Path, pruned_folder: Path, seed: int, device: torch.device) -> loop.Task:
    """As the run was trained; what was given, not trained, is learned on as natural training would."""
    strategy, data = pruned.load(pruned_folder), split.load(raw, "train")
    card = artifacts.load_json(model / "card.json")
    masks = strategy.masks("train", len(data)).to(device)
    return loop.Task(
        training=params.validated(card["training"], Training, "training.", model / "card.json"),
        train=run.part(data, masks, device, held_out=False),
        validation=run.part(data, masks, device, held_out=True),
        fill=strategy.fill,
        seed=seed,
        masks="stay",
        bfloat16=runtime.computes_bfloat16(device),
    )


def _perturb(training: TrainingOptions) -> Perturb:
    if not isinstance(training, TrainingOptions):
        return as_they_are

    def perturb(model: Any, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        everywhere = torch.ones_like(images[:, :1], dtype=torch.bool)
        return training.perturb(model, images, labels, everywhere, generator)

    return perturb


def _again(model: Path, task: loop.Task, device: torch.device, folder: Path) -> Callable[[int], nn.Module]:
    card = artifacts.load_json(model / "card.json")
    options = params.validated(card["network"], Network, "network.", model / "card.json")

    def again(number: int) -> nn.Module:
        if not isinstance(task.training, TrainingOptions):
            raise ParamsError(f"{model}: its weights were given, so no other network can be trained as it was.")
        # A seed that no study names.
        seed = sampling.torch_generator(task.seed, "again", number).initial_seed()
        network = run.build(options, len(card["classes"]), task.train.images, seed, device)
        each = cli.teller(f"network {number}")
        loop.train(network, replace(task, seed=seed), folder / str(number), each)
        return runtime.channels_last(network.requires_grad_(False))

    return again
