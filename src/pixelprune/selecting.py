"""What ranks pixels, from files to a function: a map, and what it reads (a segmenter, a network, learned statistics).

The importance stage writes a selector beside each map, the prune stage passes it on. From it the pixels of any other
image, attacked or corrupted, are ranked as those of the data set were.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelprune import artifacts, closure, params, runtime, surrogate
from pixelprune.datasets.split import Split
from pixelprune.errors import ArtifactError
from pixelprune.maps.catalog import Map
from pixelprune.maps.map import Source
from pixelprune.models import store
from pixelprune.models.catalog import Network
from pixelprune.models.network import NetworkOptions
from pixelprune.models.quick import quick
from pixelprune.models.softened import softened
from pixelprune.sampling import torch_generator
from pixelprune.segmenters.catalog import Segmenter
from pixelprune.segmenters.segmenter import SegmenterOptions

Rank = Callable[[Tensor, NDArray[np.int64]], Tensor]

PACKAGE = Path(__file__).parent
JSON, TENSORS = "selector.json", "selector.safetensors"
SURROGATE = "surrogate."


@dataclass(frozen=True)
class Selector:
    """A map with all that it needs. `rank` is None for an oracle: nothing can recompute an annotation."""

    map: Map
    segmenter: Segmenter | None
    network: dict[str, object] | None
    tensors: dict[str, Tensor]

    @property
    def oracle(self) -> bool:
        return self.segmenter is not None and self.segmenter.oracle

    @property
    def behaviour(self) -> str:
        """Of the map; "static" for an oracle: nothing can recompute an annotation."""
        return "static" if self.oracle else self.map.behaviour

    def rank(self) -> Rank | None:
        """images float32 (N, 3, H, W) in [0, 1], ids (N,) -> values float32 (N, H, W) there, larger = first."""
        if self.oracle:
            return None
        source = cache(self._source)
        return lambda images, ids: self.map(images, ids, source(images.device))

    def smooth(self) -> Rank | None:
        """As `rank`, and close to it, but with a gradient; None where no image's mask can be moved.

        The kinks of a network that the map explains are rounded off; a segmenter is replaced by its surrogate.
        """
        if self.behaviour != "dynamic":
            return None

        @cache
        def source(device: torch.device) -> Source:
            true = self._source(device)
            model = softened(true.model) if isinstance(true.model, torch.nn.Module) else None
            return replace(true, foreground=self._surrogate(device), model=model, quick=None)

        return lambda images, ids: self.map(images, ids, source(images.device))

    def _source(self, device: torch.device) -> Source:
        foreground = None if self.segmenter is None else _segmenting(self.segmenter)
        model = None if self.network is None else _network(self.network, self._part("network.")).to(device)
        learned = {name: tensor.to(device) for name, tensor in self._part("state.").items()}
        fast = None if model is None else quick(model)
        return Source(foreground=foreground, model=model, state=learned, quick=fast)

    def _surrogate(self, device: torch.device) -> Rank | None:
        if self.segmenter is None:
            return None
        network = surrogate.build()
        network.load_state_dict(self._part(SURROGATE))
        return surrogate.foreground(network.eval().requires_grad_(False).to(device))

    def _part(self, prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): t for name, t in self.tensors.items() if name.startswith(prefix)}

    def save(self, folder: Path) -> None:
        artifacts.save_tensors(folder / TENSORS, self.tensors)
        segmenter = None if self.segmenter is None else self.segmenter.model_dump(mode="json")
        card = {"map": self.map.model_dump(mode="json"), "segmenter": segmenter, "network": self.network}
        artifacts.save_json(folder / JSON, card | {"source": self._source_digest()})

    def _source_digest(self) -> str:
        """Of the code behind the map: a stage that recomputes maps depends on it through this line."""
        files = {PACKAGE / "maps" / f"{self.map.name}.py"}
        if self.segmenter is not None:
            files.add(PACKAGE / "segmenters" / f"{self.segmenter.name}.py")
        return closure.digest(set().union(*(closure.closure(file) for file in files)))


def load(folder: Path) -> Selector:
    """The selector of data/maps/M or data/pruned/P. Raises ArtifactError where it is missing or damaged."""
    path = folder / JSON
    card = artifacts.load_json(path)
    segmenter = None if card["segmenter"] is None else params.validated(card["segmenter"], Segmenter, "", path)
    map_ = params.validated(card["map"], Map, "", path)
    return Selector(map_, segmenter, card["network"], artifacts.load_tensors(folder / TENSORS))


def fit(entry: Map, train: Split) -> Selector:
    """The selector of an entry of `maps`, with what it learns from the training images or reads from its artifact."""
    reads = Path(entry.reads)
    tensors = {f"state.{name}": tensor for name, tensor in entry.fit(train.images).items()}
    segmenter, network = None, None
    if entry.needs == "foreground":
        card = artifacts.load_json(reads / "card.json")
        segmenter = params.validated(card["segmenter"], Segmenter, "", reads / "card.json")
        if not segmenter.oracle:
            weights = artifacts.load_tensors(reads / "surrogate.safetensors")
            tensors |= {f"{SURROGATE}{name}": tensor for name, tensor in weights.items()}
    elif entry.needs == "model":
        card = artifacts.load_json(reads / "card.json")
        network = {"options": card["network"], "classes": len(card["classes"])}
        weights = artifacts.load_tensors(reads / "model.safetensors")
        tensors |= {f"network.{name}": tensor for name, tensor in weights.items()}
    return Selector(entry, segmenter, network, tensors)


def rank_split(selector: Selector, split: Split, name: str) -> Rank:
    """As Selector.rank, for images of the data set itself: their foreground is read, not computed again."""
    if selector.map.needs != "foreground":
        rank = selector.rank()
        assert rank is not None
        return rank
    path = Path(selector.map.reads) / f"{name}.npy"
    probability = artifacts.load_array(path, "float16", "N H W")
    if len(probability) != len(split.ids) or not np.isfinite(probability).all():
        raise ArtifactError(
            f"{path}: found {probability.shape}, {np.isnan(probability).sum()} values nan; expected a finite value for "
            f"each pixel of {len(split.ids)} images. Delete it and run `dvc repro`."
        )
    row = {int(image): position for position, image in enumerate(split.ids)}

    def foreground(images: Tensor, ids: NDArray[np.int64]) -> Tensor:
        rows = probability[[row[int(image)] for image in ids]].astype(np.float32)
        return torch.from_numpy(rows).to(images.device)

    source = Source(foreground=foreground)
    return lambda images, ids: selector.map(images, ids, source)


def build_network(options: NetworkOptions, classes: int) -> torch.nn.Module:
    """The network with weights that are about to be replaced."""
    return options.build(classes, torch_generator("replaced"))


def load_network(folder: Path, weights: str = "model.safetensors") -> torch.nn.Module:
    """A trained network from models/P/T/s, in eval mode, its weights frozen."""
    card = artifacts.load_json(folder / "card.json")
    options = params.validated(card["network"], Network, "network.", folder / "card.json")
    network = build_network(options, len(card["classes"]))
    return runtime.channels_last(store.load_into(folder / weights, network).requires_grad_(False))


def _network(card: dict[str, object], weights: dict[str, Tensor]) -> torch.nn.Module:
    options = params.validated(card["options"], Network, "network.", Path(JSON))
    network = build_network(options, int(str(card["classes"])))
    network.load_state_dict(weights)
    return runtime.channels_last(network.eval().requires_grad_(False))


def _segmenting(segmenter: SegmenterOptions) -> Callable[[Tensor, NDArray[np.int64]], Tensor]:
    def foreground(images: Tensor, ids: NDArray[np.int64]) -> Tensor:
        # Segmenters are classical code on 8-bit images, as a camera would deliver them.
        pixels = (images.detach() * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        # Stored probabilities are float16: the same rounding, so that the same image gives the same mask.
        probability = segmenter(pixels, ids, None).astype(np.float16).astype(np.float32)
        return torch.from_numpy(probability).to(images.device)

    return foreground
