"""No training: weights that are there already, of a published checkpoint or of a study elsewhere.

Every later stage takes them as it takes weights that were learned here. What they were trained on is not known: they
may well have seen the images that the accuracies of the model's card are measured on.
"""

import hashlib
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import AfterValidator, Field, model_validator
from torch import Tensor, nn

from pixelprune import pruned, runtime
from pixelprune.datasets import split
from pixelprune.errors import ArtifactError, ParamsError
from pixelprune.mistakes import near
from pixelprune.models.catalog import Network
from pixelprune.models.network import Normalize
from pixelprune.options import Listed
from pixelprune.sampling import torch_generator
from pixelprune.training import checkpoint, loop, run
from pixelprune.training.recipe import Validated

MIRROR = "PIXELPRUNE_MIRROR"
"""Names the folder that weights are looked for in after the study's own: the one that data sets may come from."""


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("must name each class once")
    return names


Deviation = Annotated[float, Field(gt=0)]


class Pretrained(Validated):
    name: Literal["pretrained"] = "pretrained"
    weights: str = Field(
        description="File of the weights (.safetensors, .pt, .pth, .npz): a path from the study's folder or, where "
        "there is no such file, from the folder that PIXELPRUNE_MIRROR names."
    )
    sha256: str = Field(
        pattern="^[0-9a-f]{64}$",
        description="Of the file, as `sha256sum` prints it. It stands for the content: with another, stages run again.",
    )
    architecture: Network = Field(description="The network that the weights belong to; an entry as `network`.")
    mean: Annotated[tuple[float, float, float], Listed] | None = Field(
        None, description="Of red, green, blue in [0, 1], subtracted. Left out: the file's."
    )
    std: Annotated[tuple[Deviation, Deviation, Deviation], Listed] | None = Field(
        None, description="Deviation of each channel, likewise, which is then divided by."
    )
    classes: Annotated[tuple[str, ...], Listed, Field(min_length=1), AfterValidator(_once)] | None = Field(
        None, description="What the outputs stand for, by the data set's names. Left out: its classes, in its order."
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.mean is None) != (self.std is None):
            raise ValueError("give mean and std both, or none of them where the file holds them")
        return self

    def network(self, classes: list[str]) -> nn.Module:
        """The network with its weights, in eval mode; an output for each of the data set's classes, in that order.

        Raises ArtifactError where file and architecture do not fit, ParamsError where the classes do not.
        """
        tensors = checkpoint.read(self._content(), self.weights)
        outputs = list(self.classes or classes)
        network = self.architecture.build(len(outputs), torch_generator("replaced"))
        self._check_outputs(network, tensors, outputs)
        absent = checkpoint.load_into(network, tensors, self.weights)
        self._normalize(network, absent)
        self._order(network, outputs, classes)
        return network.eval()

    def _content(self) -> bytes:
        """The bytes of the file. Raises ArtifactError where there is none, or another."""
        places = [Path(self.weights)]
        if mirror := os.environ.get(MIRROR, "").strip():
            places.append(Path(mirror).expanduser() / self.weights)
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            looked = " and ".join(str(place) for place in places)
            hint = "" if mirror else f", or let {MIRROR} name a folder that has it"
            raise ArtifactError(f"{self.weights}: no such file; looked for {looked}. Put it there{hint}.")
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise ArtifactError(
                f"{path}: found sha256 {found}, expected {self.sha256}. Get the file again, or correct sha256 in "
                "params.yaml if this is the one that is meant."
            )
        return content

    def _check_outputs(self, network: nn.Module, tensors: dict[str, Tensor], outputs: list[str]) -> None:
        """Says it plainly where only the number of classes is wrong. Raises ParamsError."""
        head = _head(network)
        rows = checkpoint.renamed(tensors, network.state_dict()).get(f"{head}.weight")
        if rows is None or rows.shape[1:] != network.get_parameter(f"{head}.weight").shape[1:]:
            return
        if len(rows) != len(outputs):
            asked = "that are named in classes" if self.classes else "of the data set"
            raise ParamsError(
                f"{self.weights}: found weights of {len(rows)} classes, expected the {len(outputs)} {asked}. "
                "Name what its outputs stand for in `classes`, in their order."
            )

    def _normalize(self, network: nn.Module, absent: set[str]) -> None:
        """Sets mean and deviation. Raises ParamsError where they are given twice, or by nobody."""
        layers = {name: module for name, module in network.named_modules() if isinstance(module, Normalize)}
        held = [name for name in layers if f"{name}.mean" not in absent]
        if self.mean is not None and self.std is not None:
            if held or not layers:
                raise ParamsError(f"{self.weights}: the network normalizes by itself: leave out mean and std.")
            for layer in layers.values():
                layer.mean.copy_(torch.tensor(self.mean).view(1, 3, 1, 1))
                layer.std.copy_(torch.tensor(self.std).view(1, 3, 1, 1))
        elif len(held) < len(layers):
            raise ParamsError(
                f"{self.weights}: holds no normalization. Give mean and std that it was trained with "
                "([0, 0, 0] and [1, 1, 1] for pixels in [0, 1])."
            )

    def _order(self, network: nn.Module, outputs: list[str], classes: list[str]) -> None:
        """Keeps the outputs of the data set's classes, in its order. Raises ParamsError where one is not there."""
        if outputs == classes:
            return
        absent = [name for name in classes if name not in outputs]
        if absent:
            raise ParamsError(
                f"{self.weights}: no output stands for {absent[0]!r}{near(absent[0], outputs)}; classes has to name "
                f"each of the data set's: {', '.join(classes)}."
            )
        head = _head(network)
        if head is None:
            raise ParamsError(f"{self.weights}: its last layer is not linear: leave out classes.")
        last = network.get_submodule(head)
        assert isinstance(last, nn.Linear)
        rows = [outputs.index(name) for name in classes]
        last.weight = nn.Parameter(last.weight.detach()[rows])
        if last.bias is not None:
            last.bias = nn.Parameter(last.bias.detach()[rows])
        last.out_features = len(rows)


def _head(network: nn.Module) -> str | None:
    """The name of the last linear layer, whose rows are the classes."""
    return next((name for name, layer in reversed(list(network.named_modules())) if isinstance(layer, nn.Linear)), None)


def take(
    training: Pretrained, seed: int, *, raw: Path, pruned_folder: Path, out: Path, device: torch.device
) -> dict[str, Any]:
    """Writes model.safetensors, curve.csv (one row: epoch 0) and card.json into `out`; returns the card."""
    strategy, data = pruned.load(pruned_folder), split.load(raw, "train")
    classes = split.load_card(raw)["classes"]
    network = runtime.channels_last(training.network(classes)).to(device)
    masks = strategy.masks("train", len(data)).to(device)
    validation = run.part(data, masks, device, held_out=True)
    row = {"epoch": 0, **loop.validate(network, validation, strategy.fill, training, seed)}
    card = run.described(training.architecture, training, network, strategy, classes, seed) | {
        "best_epoch": 0,
        "epochs": 0,
        "alarm": None,
        "selected_by": f"nothing: given weights, measured on the {run.validation_name(data)}, which they may have seen",
        **run.accuracies(row),
        **{f"last_{name}": value for name, value in run.accuracies(row).items()},
        "train_images": 0,
        "validation_images": len(validation),
    }
    run.write(out, network, [row], card)
    return card
