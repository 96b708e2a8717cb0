"""RISE: how much surer of its class the network is under the random masks that show the pixel.

    a = 1 / (n p) sum_j (f_j - mean f) M_j,   f_j = f_t(x * M_j)

with t the class predicted on the image and f its probability or its logit. A mask M is a grid of s x s cells, each open
with probability p, enlarged bilinearly to s + 1 cells and cut out at a random place.

Source: Petsiuk, Das, Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018,
sections 3.1 and 3.2, arXiv:1806.07421; there 4,000 to 8,000 masks, and f_j as it is. Its mean adds f times how often
a pixel happened to be shown, which is the same in expectation for all pixels but hides all else while masks are few.
"""

from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pixelprune.draws import Draws
from pixelprune.maps.many_gradients import Rows
from pixelprune.maps.map import Ids, MapOptions, Source, Weights
from pixelprune.maps.perturbed import Answer, answers, total


class RISE(MapOptions):
    name: Literal["rise"]
    reads: Weights
    masks: int = Field(1000, ge=1, le=1_000_000, description="Random masks n; memory does not grow with them.")
    cells: int = Field(7, ge=1, le=64, description="Cells s on each side of a mask's grid.")
    probability: float = Field(0.5, gt=0, le=1, description="That a cell is open, p.")
    answer: Answer = Field("probability", description="What is averaged: the probability of the class, or its logit.")
    per_image: bool = Field(False, description="Masks of its own for each image id; else the same for all.")
    seed: int = Field(0, ge=0, description="Draws the masks.")
    needs: ClassVar[Literal["nothing", "foreground", "model"]] = "model"
    behaviour: ClassVar[Literal["static", "dynamic"]] = "dynamic"

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """Around 0, in units of f. By the quick model; by the model itself where images are differentiated."""
        again = images.requires_grad and torch.is_grad_enabled()
        model = source.classifier() if again else source.quick or source.classifier()

        def shown(rows: Rows, numbers: range) -> Tensor:
            masks = self.drawn(rows.ids, numbers, *images.shape[2:]).to(images)
            sure = answers(model, rows.images[:, None] * masks[:, :, None], rows.classes, self.answer)
            open_ = (masks - self.probability).expand(len(sure), -1, -1, -1)
            weighted = torch.einsum("ns,nshw->nhw", sure, open_)
            return torch.stack([weighted, open_.sum(1), sure.sum(1)[:, None, None].expand_as(weighted)], 1)

        weighted, often, sure = total(images, ids, source, self.masks, 3, shown).unbind(1)
        return (weighted - often * sure / self.masks) / (self.masks * self.probability)

    def drawn(self, ids: Ids, numbers: range, height: int, width: int) -> Tensor:
        """The masks of these numbers, float32 (n, s, H, W) in [0, 1], on the CPU; n = 1 where images share them."""
        seeds = Draws.of(np.array(numbers), self.seed, "rise mask").seeds[None]
        if self.per_image:
            seeds = seeds ^ Draws.of(ids, self.seed, "rise image").seeds[:, None]
        draws = Draws(seeds.flatten())
        grid = (draws.uniform(1, self.cells, self.cells) < self.probability).float()
        cell = (-(-height // self.cells), -(-width // self.cells))
        size = [(self.cells + 1) * side for side in cell]
        wide = F.interpolate(grid, size=size, mode="bilinear", align_corners=False)[:, 0]
        shift = (draws.uniform(2) * torch.tensor(cell)).long()
        rows = (shift[:, :1] + torch.arange(height))[:, :, None]
        columns = (shift[:, 1:] + torch.arange(width))[:, None]
        return wide[torch.arange(len(wide))[:, None, None], rows, columns].view(*seeds.shape, height, width)
