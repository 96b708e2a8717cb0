"""Random views of images: a part of each, mirrored or not, in other colours; differentiable, drawn image by image.

Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020, appendix A,
arXiv:2002.05709, without its blur. Ours changes brightness, contrast, saturation and hue in this order, turns the hue
in the YIQ space, and clips once, at the end.
"""

from dataclasses import dataclass
from math import log, pi

import torch
from torch import Tensor

from pixelprune.draws import Draws

SMALLEST = 0.08
"""Share of the image's area that a part has at least."""
LONGEST = 4 / 3
"""Largest ratio of a part's sides, where the image is square."""
LIGHT = 0.8
"""Brightness, contrast and saturation are multiplied by factors in 1 +- this."""
TURN = 0.2
"""Of a full circle: how far the hue is turned at most."""
COLOURED, GRAY = 0.8, 0.2
"""Shares of the views whose colours change, and that have none."""
YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
"""Light, and two axes of colour that are 0 for all grays."""


@dataclass(frozen=True)
class View:
    """One of each of N images: float32 (N,), `mirrored` bool (N,)."""

    top: Tensor
    left: Tensor
    height: Tensor
    """This and the three others in shares of the image's side."""
    width: Tensor
    mirrored: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    """Factors; without saturation the image is gray."""
    hue: Tensor
    """An angle."""


def drawn(draws: Draws) -> View:
    """Sides that would be longer than the image's are cut to it."""
    area, ratio, top, left, mirrored, light, contrast, colour, hue, coloured, gray = draws.uniform(11).unbind(1)
    area = SMALLEST + (1 - SMALLEST) * area
    ratio = torch.exp(log(LONGEST) * (2 * ratio - 1))
    height, width = (area / ratio).sqrt().clamp(max=1), (area * ratio).sqrt().clamp(max=1)
    reach = (coloured < COLOURED).float()
    light, contrast, colour = (1 + reach * LIGHT * (2 * factor - 1) for factor in (light, contrast, colour))
    return View(
        top * (1 - height), left * (1 - width), height, width, mirrored < 0.5,
        light, contrast, torch.where(gray < GRAY, 0, colour), reach * TURN * 2 * pi * (2 * hue - 1),
    )  # fmt: skip


def seen(images: Tensor, view: View) -> Tensor:
    """images float (N, 3, H, W) in [0, 1] -> their views, as large."""
    rows = _between(view.top, view.height, images.shape[2]).to(images)
    columns = _between(view.left, view.width, images.shape[3]).to(images)
    columns = torch.where(view.mirrored[:, None, None], columns.flip(1), columns)
    parts = rows[:, None] @ images @ columns[:, None].mT
    brightness, contrast = (factor.to(images).view(-1, 1, 1, 1) for factor in (view.brightness, view.contrast))
    bright = brightness * parts
    mean = torch.einsum("nchw,c->n", bright, images.new_tensor(YIQ[0])) / (images.shape[2] * images.shape[3])
    mean = mean.view(-1, 1, 1, 1)
    return torch.einsum("nkc,nchw->nkhw", _recolouring(view).to(images), mean + contrast * (bright - mean)).clamp(0, 1)


def _between(start: Tensor, share: Tensor, size: int) -> Tensor:
    """Weights of linear interpolation from all pixels of a side to those of a part of it, (N, size, size).

    A product with them has a gradient of every order, and sums in the same order on every device.
    """
    pixels = torch.arange(size, device=start.device, dtype=torch.float64)
    places = start[:, None].double() * size + share[:, None].double() * (pixels + 0.5) - 0.5
    return (1 - (places.clamp(0, size - 1)[:, :, None] - pixels).abs()).clamp(min=0)


def _recolouring(view: View) -> Tensor:
    """(N, 3, 3): what each RGB value is multiplied by, for saturation and hue."""
    yiq = torch.tensor(YIQ, dtype=torch.float64, device=view.hue.device)
    along, across = (view.saturation * turn(view.hue.double()) for turn in (torch.cos, torch.sin))
    one, none = torch.ones_like(along), torch.zeros_like(along)
    turned = torch.stack([one, none, none, none, along, -across, none, across, along], 1).view(-1, 3, 3)
    return torch.linalg.inv(yiq) @ turned @ yiq
