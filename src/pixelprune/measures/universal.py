"""One perturbation for all images: it raises their mean loss, and is learned on images that it is not judged by.

Source: Moosavi-Dezfooli et al., "Universal adversarial perturbations", CVPR 2017, arXiv:1610.08401; learned as in
Shafahi et al., "Universal Adversarial Training", AAAI 2020, section 3, arXiv:1811.11304: steepest steps on batches,
with losses cut off so that no single image leads. Ours lets the steps shrink to zero, which ends its wandering.
"""

import math

import torch
from torch import Tensor

from pixelprune.attacks.balls import Ball
from pixelprune.attacks.losses import cross_entropy
from pixelprune.attacks.narrowing import Model, narrow

HIGHEST = 9.0
"""A loss counts up to here."""


def learn(
    model: Model, images: Tensor, labels: Tensor, ball: Ball, *,
    epochs: int, batch: int, relative_step: float, generator: torch.Generator,
) -> Tensor:  # fmt: skip
    """The perturbation, float32 (1, C, H, W), in the ball. generator: of the order of the images, on the CPU.

    model: images -> logits of all N images; it is narrowed to each batch. relative_step: the first step, in radii.
    Passes: `epochs` forward and backward an image.
    """
    delta = torch.zeros_like(images[:1])
    steps, done = epochs * math.ceil(len(images) / batch), 0
    for _ in range(epochs):
        for index in torch.randperm(len(images), generator=generator).to(images.device).split(batch):
            delta.requires_grad_()
            with torch.enable_grad():
                points = (images[index] + delta).clamp(0, 1)
                loss = cross_entropy(narrow(model, index)(points), labels[index]).clamp(max=HIGHEST).sum()
                (grad,) = torch.autograd.grad(loss, delta)
            length = relative_step * ball.eps * (1 - done / steps)
            delta = ball.project(delta.detach() + length * ball.steepest(grad.nan_to_num()))
            done += 1
    return delta
