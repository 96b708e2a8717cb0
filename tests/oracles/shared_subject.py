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


def seen(count: int, side: int, seed: int, keep: float, classes: int) -> Seen:
    """Pixels uniform in [0.3, 0.7], labels by chance; the brighter share of the pixels is kept."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 + 0.4 * torch.rand(count, 3, side, side, generator=generator)
    ids = np.random.default_rng(seed).permutation(10 * count)[:count].astype(np.int64)
    mask = PrunedModel(nn.Identity(), brightness, keep, BLACK).mask(images, ids)
    return Seen(images, torch.randint(classes, (count,), generator=generator), ids, mask)


def subject(
    network: nn.Module, *, count: int = 6, side: int = 16, keep: float = 0.5, oracle: bool = False, eps: float = 0.1,
    norm: str = "linf",
) -> Subject:  # fmt: skip
    """Of held-out images, ten of thirty have labels by chance, the others what the network says."""
    network = network.eval().requires_grad_(False)
    classes = network(torch.zeros(1, 3, side, side)).shape[1]
    test, held_out = seen(count, side, 1, keep, classes), seen(30, side, 2, keep, classes)
    said = network(BLACK(held_out.images, held_out.mask)).argmax(1)
    held_out.labels[10:] = said[10:]
    return Subject(
        network, BLACK, test, held_out, Threat.model_validate({"norm": norm, "eps": eps}), seed=0,
        pruned=None if oracle else PrunedModel(network, brightness, keep, BLACK), tell=lambda text: None,
    )  # fmt: skip
