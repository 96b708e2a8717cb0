"""Deletion and insertion: how soon the network loses, or finds, its class as pixels go or come in a map's order.

    AUC = (sum_k s_k - s_0 / 2 - s_N / 2) / N

with s_k the probability of the class predicted on the whole image when k/N of the pixels are those of a baseline image
(deletion, low is good), or k/N those of the image and the others the baseline's (insertion, high is good).

Source: Petsiuk, Das, Saenko, "RISE", BMVC 2018, section 4.1, arXiv:1806.07421; that the baseline decides: Brunke,
Agrawal, George, "Evaluating Input Perturbation Methods for Interpreting CNNs and Saliency Map Comparison",
arXiv:2101.10977.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelprune.fills.black import Black
from pixelprune.fills.blur import Blur
from pixelprune.fills.fill import FillOptions
from pixelprune.fills.mean import Mean
from pixelprune.fills.noise import Noise
from pixelprune.measures.map_scores import Asked, Floats, kept, logits


def baselines(asked: Asked, blur: float) -> dict[str, Tensor]:
    """What stands for no image, each float32 (N, 3, H, W): black, mean color, blurred (sigma in pixels), noise."""
    fills: tuple[FillOptions, ...] = (
        Black(name="black"), Mean(name="mean").fitted(asked.examples), Blur(name="blur", sigma=blur),
        Noise(name="noise"),
    )  # fmt: skip
    everywhere = torch.ones_like(asked.images[:, :1], dtype=torch.bool)
    return {fill.name: fill.behind(asked.images, everywhere).expand_as(asked.images) for fill in fills}


def areas(asked: Asked, ranking: Floats, baseline: Tensor, steps: int) -> tuple[NDArray[np.float64], ...]:
    """Deletion and insertion AUC of each image, each (N,) in [0, 1]."""
    first = [torch.zeros_like(asked.images[:, :1], dtype=torch.bool)]
    first += [kept(ranking, step / steps, asked.images.device) for step in range(1, steps + 1)]
    deleted = [_sure(asked, torch.where(mask, baseline, asked.images)) for mask in first]
    inserted = [_sure(asked, torch.where(mask, asked.images, baseline)) for mask in first]
    return area(np.stack(deleted)), area(np.stack(inserted))


def area(curve: NDArray[np.floating]) -> NDArray[np.float64]:
    """Under values at equal steps, (steps + 1, N) -> (N,): by trapezoids."""
    return np.asarray((curve.sum(0) - curve[0] / 2 - curve[-1] / 2) / (len(curve) - 1), np.float64)


def _sure(asked: Asked, images: Tensor) -> NDArray[np.float64]:
    probability = torch.softmax(logits(asked.network, images).double(), 1)
    return np.asarray(probability.gather(1, asked.predicted[:, None])[:, 0].cpu().numpy())
