"""The gradients of one logit at many points for each image: noisy copies of it, or steps on a path to it.

Points pass the network in chunks of one shape, so that memory grows neither with the images nor with the points, and
so that an image's gradients do not feel which images share its chunk: the last one is filled up with copies.
Where the map itself is differentiated, each chunk is computed a second time on the way back instead of being kept; no
mask is read off those values, so they are not filled up.
Source of that: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016, arXiv:1604.06174, section 3.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pixelprune.maps import class_gradient
from pixelprune.maps.map import Ids, Source

CHUNK = 1 << 17
"""Pixels that pass the network at once: 128 images of 32 x 32."""


class Rows(NamedTuple):
    """Some images, float32 (n, C, H, W), their ids and the class of each that is explained, both (n,)."""

    images: Tensor
    ids: Ids
    classes: Tensor


Block = Callable[[Rows, range], Tensor]
"""Makes (n, ...) of the points with these numbers, of each of these images."""


def blocks(images: Tensor, ids: Ids, source: Source, count: int, block: Block) -> Iterator[Iterator[Tensor]]:
    """For one run of images after the other: what `block` makes of their points 0 to count - 1, some at a time.

    The class that is explained is the one predicted on the image itself.
    """
    room = max(CHUNK // (images.shape[2] * images.shape[3]), 1)
    points = min(count, room)
    height = room // points
    numbers = [range(start, min(start + points, count)) for start in range(0, count, points)]
    model, parts = source.classifier(), class_gradient.chunks(images)
    none = images.new_empty(0, dtype=torch.int64)
    classes = torch.cat([none, *(class_gradient.predicted(model, images[part]) for part in parts)])
    for start in range(0, len(images), height):
        stop = min(start + height, len(images)) if _differentiated(images) else start + height
        index = np.arange(start, stop).clip(max=len(images) - 1)
        rows = Rows(images[index], ids[index], classes[index])
        yield (_computed(rows, some, block)[: len(images) - start] for some in numbers)


def gradients(source: Source, points: Tensor, classes: Tensor) -> Tensor:
    """d z_t / d point with t = classes (n,), for points float32 (n, s, C, H, W) of n images; the same shape.

    Of the source's quick model, but of the model itself where the points are to be differentiated again.
    """
    model = source.classifier() if _differentiated(points) else source.quick or source.classifier()
    flat = points.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    return class_gradient.class_gradient(model, flat, classes.repeat_interleave(points.shape[1])).view(points.shape)


def _computed(rows: Rows, numbers: range, block: Block) -> Tensor:
    if _differentiated(rows.images):
        result: Tensor = _Recomputed.apply(rows.images, lambda images: block(rows._replace(images=images), numbers))
        return result
    return block(rows, numbers)


def _differentiated(tensor: Tensor) -> bool:
    return tensor.requires_grad and torch.is_grad_enabled()


class _Recomputed(torch.autograd.Function):
    """A function of images whose graph is not kept: it is built again when its gradient is asked for."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(images)
        ctx.function = function
        return function(images)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None]:
        (images,) = ctx.saved_tensors
        with torch.enable_grad():
            again = images.detach().requires_grad_()
            (inner,) = torch.autograd.grad(ctx.function(again), again, outer)
        return inner, None
