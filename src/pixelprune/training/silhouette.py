"""How much of the class a mask gives away by itself: a network is trained on the outline alone.

A pruned model can read the class off the shape of its mask, which no perturbation of the kept pixels can hide; robust
accuracy gained that way says nothing of better features. A classifier that sees only masks bounds it from above.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pixelprune import runtime
from pixelprune.datasets.split import Split
from pixelprune.fills.black import Black
from pixelprune.models.network import NetworkOptions
from pixelprune.training import loop
from pixelprune.training.recipe import TrainingOptions
from pixelprune.training.run import build


def measure(
    data: Mapping[str, Split],
    masks: Mapping[str, NDArray[np.bool_]],
    network: NetworkOptions,
    training: TrainingOptions,
    device: torch.device,
) -> dict[str, Any]:
    """{"right", "images", "constant", "guess"}: test images classified by their mask alone.

    masks: bool (N, H, W) of the parts "train" and "test". guess: right answers of always naming the most frequent
    training class. Where all masks are equal there is nothing to learn, and that guess is the answer.
    """
    labels = {name: torch.from_numpy(np.array(part.labels)) for name, part in data.items()}
    guess = int((labels["test"] == labels["train"].bincount().argmax()).sum())
    constant = bool((masks["train"] == masks["train"][:1]).all() and (masks["test"] == masks["train"][:1]).all())
    card = {"images": len(labels["test"]), "constant": constant, "guess": guess}
    if constant:
        return card | {"right": guess}
    pictures = {name: _pictures(mask, labels[name], device) for name, mask in masks.items()}
    classes = int(max(part.max() for part in labels.values())) + 1
    model = build(network, classes, pictures["train"].images, 0, device)
    task = loop.Task(
        training=training,
        train=pictures["train"],
        validation=loop.Images(*(part[:1] for part in vars(pictures["train"]).values())),
        fill=Black(name="black"),
        seed=0,
        masks="stay",
        bfloat16=runtime.computes_bfloat16(device),
    )
    outcome = loop.train(model, task, None, each_epoch=lambda _: None)
    model.load_state_dict(outcome.last)
    test = pictures["test"]
    with torch.no_grad():
        right = sum(
            int((model(test.images[i : i + 512].float() / 255).argmax(1) == test.labels[i : i + 512]).sum())
            for i in range(0, len(test), 512)
        )
    return card | {"right": right}


def _pictures(masks: NDArray[np.bool_], labels: torch.Tensor, device: torch.device) -> loop.Images:
    """Masks as white on black images that keep every pixel."""
    images = torch.from_numpy(masks.astype(np.uint8) * 255)[:, None].expand(-1, 3, -1, -1).contiguous().to(device)
    return loop.Images(images, labels.to(device), torch.ones_like(images[:, :1], dtype=torch.bool))
