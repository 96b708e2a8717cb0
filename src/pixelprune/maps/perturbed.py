"""What perturbation maps are made of: how sure a network is of one class at many versions of an image."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from pixelprune.maps.many_gradients import Block, blocks
from pixelprune.maps.map import Ids, Source

Answer = Literal["probability", "logit"]


def answers(model: Callable[[Tensor], Tensor], points: Tensor, classes: Tensor, answer: Answer) -> Tensor:
    """Of class t = classes (n,) at s points of each image, float32 (n, s, C, H, W): (n, s)."""
    logits = model(points.flatten(0, 1).contiguous(memory_format=torch.channels_last))
    values = torch.softmax(logits, 1) if answer == "probability" else logits
    return values.gather(1, classes.repeat_interleave(points.shape[1])[:, None]).view(points.shape[:2])


def total(images: Tensor, ids: Ids, source: Source, count: int, parts: int, block: Block) -> Tensor:
    """The sum over `count` points of what `block` makes of them, (N, parts, H, W); memory does not grow with them.

    It has a gradient where the images ask for one.
    """
    with torch.set_grad_enabled(images.requires_grad and torch.is_grad_enabled()):
        sums = [sum(run, torch.zeros(())) for run in blocks(images, ids, source, count, block)]
        return torch.cat([images.new_empty(0, parts, *images.shape[2:]), *sums])
