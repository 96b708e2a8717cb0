"""Occlusion: how much less sure of its class the network is when a square hides the pixel.

    a_i = mean over the squares S that hide pixel i of f_t(x) - f_t(x with S filled)

with t the class predicted on the image and f its probability or its logit. Squares stand every `stride` pixels, and
at the far borders, so that every pixel is hidden by one.

Source: Zeiler, Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2,
arXiv:1311.2901. Theirs shows one value for each place of the square; ours gives a pixel the mean over its squares.
"""

from functools import lru_cache
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from pixelprune.maps.many_gradients import Rows
from pixelprune.maps.map import Ids, MapOptions, Source, Weights
from pixelprune.maps.perturbed import Answer, answers, total


class Occlusion(MapOptions):
    name: Literal["occlusion"]
    reads: Weights
    size: int = Field(8, ge=1, description="Side of the square, in pixels; at most that of the image.")
    stride: int = Field(2, ge=1, description="From one place of the square to the next; at most the side counts.")
    value: float = Field(0.5, ge=0, le=1, description="Gray level that fills the square.")
    answer: Answer = Field("probability", description="What falls: the probability of the class, or its logit.")
    needs: ClassVar[Literal["nothing", "foreground", "model"]] = "model"
    behaviour: ClassVar[Literal["static", "dynamic"]] = "dynamic"

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """The mean drop with its sign: probabilities in [-1, 1], or logits.

        Of the model itself: a small square moves it by less than a quick one errs.
        """
        model = source.classifier()
        hidden = squares(*images.shape[2:], self.size, self.stride).to(images.device)

        def fallen(rows: Rows, numbers: range) -> Tensor:
            own = hidden[numbers.start : numbers.stop]
            points = torch.where(own[:, None], self.value, rows.images[:, None])
            before = answers(model, rows.images[:, None], rows.classes, self.answer)
            drop = before - answers(model, points, rows.classes, self.answer)
            return torch.einsum("ns,shw->nhw", drop, own.to(drop.dtype))[:, None]

        return total(images, ids, source, len(hidden), 1, fallen)[:, 0] / hidden.sum(0)


@lru_cache(maxsize=8)
def squares(height: int, width: int, size: int, stride: int) -> Tensor:
    """Where each square hides the image, bool (S, H, W)."""
    rows, columns = _bands(height, size, stride), _bands(width, size, stride)
    return (rows[:, None, :, None] & columns[None, :, None, :]).flatten(0, 1)


def _bands(length: int, size: int, stride: int) -> Tensor:
    """Runs of `size` pixels of a line, the last one at its end, bool (B, length)."""
    size = min(size, length)
    starts = torch.tensor([*range(0, length - size, min(stride, size)), length - size])
    offset = torch.arange(length) - starts[:, None]
    return (offset >= 0) & (offset < size)
