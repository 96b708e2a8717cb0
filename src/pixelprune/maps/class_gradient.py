"""The gradient of one logit of every image: what gradient maps are made of."""

from collections.abc import Callable

import torch
from torch import Tensor

CHUNK = 1 << 18
"""Pixels that pass a model at once; fixed, so that memory does not grow with the call."""


def chunks(images: Tensor) -> list[slice]:
    """The images (N, C, H, W) in runs of at most CHUNK pixels (at least one image)."""
    step = max(CHUNK // (images.shape[2] * images.shape[3]), 1)
    return [slice(start, min(start + step, len(images))) for start in range(0, len(images), step)]


def predicted(model: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """The class with the largest logit, int64 (N,)."""
    with torch.no_grad():
        return model(images).argmax(1)


def class_gradient(model: Callable[[Tensor], Tensor], images: Tensor, classes: Tensor) -> Tensor:
    """d z_t / d x with t = classes (N,), for every image on its own; same shape as images, float32 (N, C, H, W).

    Where the images ask for a gradient, the result can be differentiated again. Parameters collect nothing.
    """
    again = images.requires_grad and torch.is_grad_enabled()
    with torch.enable_grad():
        points = images if again else images.detach().requires_grad_()
        logits = model(points).gather(1, classes[:, None])
        (gradient,) = torch.autograd.grad(logits.sum(), points, create_graph=again)
    return gradient
