"""Random crops, mirror images and light of whole batches, on the device."""

import torch
from torch import Tensor


def positions(
    count: int, height: int, width: int, *, shift: int, flip: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Where each pixel of the augmented images comes from: rows int64 (N, H), columns int64 (N, W).

    Every image moves by up to `shift` pixels each way and is reflected beyond its edge. `flip` mirrors every second.
    """
    rows = torch.arange(height) + _uniform(count, shift, generator)
    columns = torch.arange(width) + _uniform(count, shift, generator)
    if flip:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    return _reflect(rows, height), _reflect(columns, width)


def gather(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """images (N, C, H, W) taken at those positions."""
    count = torch.arange(len(images), device=images.device)
    return images[count[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def relight(images: Tensor, light: float, generator: torch.Generator) -> Tensor:
    """images float32 (N, C, H, W) in [0, 1] with contrast and brightness times factors uniform in 1 +- `light`.

    Contrast scales around the mean of the image, brightness around 0; values beyond [0, 1] are clipped.
    """
    contrast, brightness = (
        (1 + light * (2 * torch.rand(len(images), 1, 1, 1, generator=generator) - 1)).to(images.device)
        for _ in range(2)
    )
    mean = images.mean((1, 2, 3), keepdim=True)
    return ((mean + contrast * (images - mean)) * brightness).clamp(0, 1)


def _uniform(count: int, shift: int, generator: torch.Generator) -> Tensor:
    return torch.randint(-shift, shift + 1, (count, 1), generator=generator)


def _reflect(positions: Tensor, size: int) -> Tensor:
    period = max(2 * (size - 1), 1)  # beyond its mirror image the image begins anew
    positions = positions.remainder(period)
    return torch.where(positions >= size, period - positions, positions)
