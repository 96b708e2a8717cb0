"""Ice on the lens. Source and severities: corruption.py; lengths scale with the height.

The generator lays photographs of frost over the image. Ours grows crystals anew for each image, without a file: around
random nuclei six arms, with side branches at the same angle, on ice of uneven thickness. Its mean colour, the range of
its brightness from image to image and its spread within one are those of the generator's photographs.
"""

import math

import torch
from torch import Tensor

from pixelprune.corruptions.corruption import Draws, severities
from pixelprune.corruptions.light import painted
from pixelprune.corruptions.plasma import plasma
from pixelprune.corruptions.resampling import pixel_grid, scale

NUCLEI = 5
SECTOR = math.pi / 3
"""Between two arms."""
ARM, SPACING = 1.0, 3.0
"""Width of an arm and distance of its side branches, in pixels at 32x32."""
BEND = 2.0
"""Of the branches, in distances."""
COLOR = (0.46, 0.56, 0.61)
RANGE = 0.2
"""How far an image's frost is darker or brighter, at most."""
CONTRAST = 0.1
"""Standard deviation of the brightness within an image."""


@severities((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))
def frost(images: Tensor, level: tuple[float, float], draws: Draws) -> Tensor:
    """level: the weights of the image and of the frost, which are added."""
    share, amount = level
    return share * images + amount * ice(images, draws)


def ice(images: Tensor, draws: Draws) -> Tensor:
    """The frost alone, float32 in [0, 1], as large as the images."""
    clouds = plasma(images.shape[-2], images.shape[-1], 1.75, draws)
    thickness = crystals(images, clouds, draws) + clouds
    # In double precision, so that the order of a sum, which may depend on the batch, does not show.
    deviation = thickness.double() - thickness.double().mean((1, 2), keepdim=True)
    spread = deviation.square().mean((1, 2), keepdim=True).sqrt().clamp(min=torch.finfo(torch.float32).tiny)
    relief = (CONTRAST * deviation / spread).float()[:, None]
    light = RANGE * (2 * draws.uniform("light", 1, 1, 1) - 1)
    return (painted(COLOR, images) + light + relief).clamp(0, 1)


def crystals(images: Tensor, clouds: Tensor, draws: Draws) -> Tensor:
    """Float32 (N, H, W) in [0, 1]: each pixel belongs to the nearest nucleus and shows its arms and branches.

    clouds: float32 (N, H, W), what bends the branches.
    """
    height, width = images.shape[-2:]
    x, y = pixel_grid(images)
    column, row, turn = draws.uniform("nuclei", 3, NUCLEI, 1, 1).unbind(1)
    right, down = x[:, None] - column * width, y[:, None] - row * height
    distance, nearest = torch.hypot(right, down).min(1, keepdim=True)
    angle = (torch.atan2(down, right) - turn * SECTOR).gather(1, nearest)
    angle = (angle + SECTOR / 2).remainder(SECTOR) - SECTOR / 2  # from the nearest arm
    along, across = distance * torch.cos(angle), distance * torch.sin(angle).abs()
    # A side branch leaves its arm under the angle of the arms: it meets the arm where `root` says.
    root = along - across / math.tan(SECTOR)
    branch = 0.5 + 0.5 * torch.cos(2 * math.pi * (root / (SPACING * scale(images)) + BEND * clouds[:, None]))
    arm = torch.exp(-((across / (ARM * scale(images))) ** 2))
    return torch.maximum(arm, branch)[:, 0]
