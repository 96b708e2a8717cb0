"""From the artifacts of a run to what a defense is given to learn from, and back from files to a defended network."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pixelprune import artifacts, cli, closure, params, pruned, runtime, sampling, selecting, state
from pixelprune.attacks.narrowing import Model
from pixelprune.datasets import split
from pixelprune.defenses.catalog import Defense
from pixelprune.defenses.defense import DefenseOptions, Lesson, as_they_are, unmoved
from pixelprune.errors import ParamsError
from pixelprune.fills.fill import FillOptions
from pixelprune.models.catalog import Network
from pixelprune.models.network import NetworkOptions
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
    trained = _trained(model, raw, pruned_folder, seed, device)
    files = [raw / f"train/{name}.npy" for name in ("images", "labels", "validation")]
    files += [model / "model.safetensors", model / "card.json", pruned_folder / "card.json"]
    name = state.fingerprint(
        defense=defense.model_dump(mode="json"), seed=seed,
        files=[state.file_digest(path) for path in files],
        code=closure.digest(closure.closure(Path(inspect.getfile(type(defense)))) | closure.closure(Path(__file__))),
        device=[device.type, runtime.computes_bfloat16(device)],
    )  # fmt: skip
    with state.locked(name) as folder:
        lesson = Lesson(
            images=trained.train.images,
            labels=trained.train.labels,
            generator=sampling.torch_generator(seed, "defense", defense.name),
            tell=cli.teller(f"defend {defense.name}"),
            perturb=trained.perturb,
            augment=trained.augmented,
            again=lambda number: trained.again(number, folder / str(number)),
        )
        learned = _learned(defense, network, lesson)
        card = {
            "defense": defense.model_dump(mode="json"),
            "declared": {fact: getattr(defense, fact) for fact in FACTS},
            "learned": sum(tensor.numel() for tensor in learned.values()),
            "facts": defense.facts(network, learned, *trained.train.images.shape[2:]),
        }
        artifacts.save_tensors(out / "learned.safetensors", learned)
        artifacts.save_json(out / "card.json", card)
        state.forget(folder)
    return card


def _learned(defense: DefenseOptions, network: nn.Module, lesson: Lesson) -> dict[str, Tensor]:
    try:
        return defense.learn(network, lesson)
    except ValueError as error:  # as of a network without a linear layer
        raise ParamsError(f"defenses: {defense.name} does not fit this network: {error}.") from None


def load(folder: Path, model: Path, device: torch.device) -> Defended:
    """What `learn` wrote into `folder`, around the run in `model`. Raises ArtifactError where one is missing."""
    card = artifacts.load_json(folder / "card.json")
    defense = params.validated(card["defense"], Defense, "defense.", folder / "card.json")
    learned = artifacts.load_tensors(folder / "learned.safetensors")
    network = selecting.load_network(model).to(device)
    return Defended(defense, network, {name: tensor.to(device) for name, tensor in learned.items()}, card["facts"])


@dataclass(frozen=True)
class _Trained:
    """How the weights of a run came about. recipe: None where they were given."""

    place: Path
    recipe: TrainingOptions | None
    network: NetworkOptions
    classes: int
    fill: FillOptions
    train: loop.Images
    validation: loop.Images
    seed: int

    def perturb(self, model: Model, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        if self.recipe is None:
            return as_they_are(model, images, labels, generator)
        everywhere = torch.ones_like(images[:, :1], dtype=torch.bool)
        if images.device != generator.device:
            seed = int(torch.randint(2**62, (), generator=generator))
            generator = torch.Generator(images.device).manual_seed(seed)
        return self.recipe.perturb(model, images, labels, everywhere, generator)

    def augmented(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if self.recipe is None:
            return unmoved(images, generator)
        return loop.augmented(images, self.recipe, generator)

    def again(self, number: int, folder: Path) -> nn.Module:
        if self.recipe is None:
            raise ParamsError(f"{self.place}: its weights were given, so no other network can be trained as it was.")
        device = self.train.images.device
        # A seed that no study names.
        seed = sampling.torch_generator(self.seed, "again", number).initial_seed()
        network = run.build(self.network, self.classes, self.train.images, seed, device)
        task = loop.Task(
            self.recipe, self.train, self.validation, self.fill, seed, "stay", runtime.computes_bfloat16(device)
        )
        loop.train(network, task, folder, cli.teller(f"network {number}"))
        return runtime.channels_last(network.requires_grad_(False))


def _trained(model: Path, raw: Path, pruned_folder: Path, seed: int, device: torch.device) -> _Trained:
    strategy, data = pruned.load(pruned_folder), split.load(raw, "train")
    path = model / "card.json"
    card = artifacts.load_json(path)
    training = params.validated(card["training"], Training, "training.", path)
    masks = strategy.masks("train", len(data)).to(device)
    return _Trained(
        place=model,
        recipe=training if isinstance(training, TrainingOptions) else None,
        network=params.validated(card["network"], Network, "network.", path),
        classes=len(card["classes"]),
        fill=strategy.fill,
        train=run.part(data, masks, device, held_out=False),
        validation=run.part(data, masks, device, held_out=True),
        seed=seed,
    )
