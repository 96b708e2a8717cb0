"""A tiny run for measures: images around mid gray, a network, masks by brightness."""

import numpy as np
import torch
from torch import Tensor, nn

from pixelprune.attacks.threat import Threat
from pixelprune.fills.black import Black
from pixelprune.measures.measure import Seen, Subject
from pixelprune.pruning import PrunedModel

BLACK = Black(name="black")


def brightness(images: Tensor, ids: np.ndarray) -> Tensor:
    return images.mean(1)


def seen(
    count: int, side: int, seed: int, keep: float = 0.5, labels: Tensor | None = None, low: float = 0.3
) -> Seen:
    """Pixels uniform in [low, 1 - low]; the brighter share of them is kept."""
    generator = torch.Generator().manual_seed(seed)
    images = low + (1 - 2 * low) * torch.rand(count, 3, side, side, generator=generator)
    ids = np.random.default_rng(seed).permutation(10 * count)[:count].astype(np.int64)
    mask = PrunedModel(nn.Identity(), brightness, keep, BLACK).mask(images, ids)
    if labels is None:
        labels = torch.randint(3, (count,), generator=generator)
    return Seen(images, labels, ids, mask)


def subject(
    network: nn.Module, *, count: int = 6, side: int = 16, keep: float = 0.5, oracle: bool = False, eps: float = 0.1,
    norm: str = "linf",
) -> Subject:  # fmt: skip
    """Of held-out images, a third has a label that the network does not say."""
    network = network.eval().requires_grad_(False)
    test, held_out = seen(count, side, 1, keep), seen(30, side, 2, keep)
    said = network(BLACK(held_out.images, held_out.mask)).argmax(1)
    held_out.labels[10:] = said[10:]
    return Subject(
        network, BLACK, test, held_out, Threat.model_validate({"norm": norm, "eps": eps}), seed=0,
        pruned=None if oracle else PrunedModel(network, brightness, keep, BLACK), tell=lambda text: None,
    )  # fmt: skip
