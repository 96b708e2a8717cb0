"""Moves what belongs to an image by a random circular shift of that image: equal area, equal shape, another place."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelprune import sampling


def offsets(ids: NDArray[np.int64], height: int, width: int, seed: int) -> NDArray[np.int64]:
    """Rows and columns to move by, int64 (N, 2), uniform over all shifts but (0, 0); a function of seed and id."""
    last = max(height * width - 1, 1)
    draws = [int(sampling.numpy_generator(seed, "shift", int(image)).integers(last)) + 1 for image in ids]
    steps = np.asarray(draws, np.int64).reshape(-1)
    return np.stack([steps // width % height, steps % width], axis=1)


def circular_shift(values: Tensor, ids: NDArray[np.int64], seed: int) -> Tensor:
    """Values (N, ..., H, W) of any dtype, each image's moved by its own offsets; what leaves re-enters opposite.

    Pixel (0, 0) goes to the offset. All that is drawn comes from the seed and the ids; gradients pass.
    """
    height, width = values.shape[-2:]
    moves = torch.from_numpy(offsets(ids, height, width, seed)).to(values.device)
    rows = (torch.arange(height, device=values.device) - moves[:, :1]) % height
    columns = (torch.arange(width, device=values.device) - moves[:, 1:]) % width
    flat = values.flatten(1, -3) if values.dim() > 3 else values[:, None]
    which = torch.arange(len(values), device=values.device)[:, None, None]
    # Two index tensors around a slice put the slice last: (N, H, W, channels).
    moved = flat[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return moved.reshape(values.shape)
