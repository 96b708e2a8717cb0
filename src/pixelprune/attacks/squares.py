"""What the square attack tries next: for linf squares of one color, for l2 bumps that take their length elsewhere."""

from math import sqrt

import torch
from torch import Tensor

from pixelprune.attacks.balls import Ball
from pixelprune.draws import Draws

TINY = 1e-12


class Windows:
    """Draws square windows that hold at least one pixel of an image's mask."""

    def __init__(self, ball: Ball, mask: Tensor, channels: int, draws: Draws) -> None:
        self.ball, self.mask, self.channels, self.draws = ball, mask, channels, draws
        self.area = mask.sum((1, 2, 3)).float()
        self.counted = mask.flatten(1).cumsum(1)

    def narrow(self, index: Tensor) -> None:
        self.mask, self.area, self.counted = self.mask[index], self.area[index], self.counted[index]
        self.draws = self.draws.narrow(index)

    def sides(self, share: float, least: int) -> Tensor:
        """int64 (N,): of squares with this share of the open pixels."""
        most = min(self.mask.shape[2:])
        return (share * self.area).sqrt().round().long().clamp(least, most)

    def places(self, sides: Tensor) -> tuple[Tensor, Tensor]:
        """Row and column of each window's first pixel, int64 (N,): around an open pixel, each position as likely."""
        height, width = self.mask.shape[2:]
        which, up, left = self.draws.uniform(3).unbind(1)
        rank = (which * self.area).floor().clamp(max=self.area - 1)
        pixel = (self.counted > rank[:, None]).int().argmax(1)
        row = _around(torch.div(pixel, width, rounding_mode="floor"), up, sides, height)
        return row, _around(pixel % width, left, sides, width)

    def window(self, sides: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """bool (N, 1, H, W)"""
        height, width = self.mask.shape[2:]
        rows = torch.arange(height, device=sides.device) - row[:, None]
        columns = torch.arange(width, device=sides.device) - column[:, None]
        inside_rows = (rows >= 0) & (rows < sides[:, None])
        inside_columns = (columns >= 0) & (columns < sides[:, None])
        return (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]


class LinfSquares(Windows):
    """Stripes first, then squares whose color is a corner of the ball: section 4.2."""

    def first(self) -> Tensor:
        stripes = self.draws.signs(self.channels, 1, self.mask.shape[3])
        return (self.ball.eps * stripes).expand(-1, -1, self.mask.shape[2], -1) * self.mask

    def next(self, delta: Tensor, share: float) -> Tensor:
        sides = self.sides(share, least=1)
        window = self.window(sides, *self.places(sides)) & self.mask
        return torch.where(window, self.ball.eps * self.draws.signs(self.channels, 1, 1), delta)


class L2Squares(Windows):
    """A grid of bumps first; then a bump in one window, with the length that another window gives up: section 4.3."""

    def first(self) -> Tensor:
        height, width = self.mask.shape[2:]
        side = max(int(sqrt(0.05 * height * width)) | 1, 3)
        tile = bump(torch.tensor([side]), height=side, width=side)[0]
        tiles = tile.repeat(1, -(-height // side), -(-width // side))[:, :height, :width].to(self.mask.device)
        rows, columns = -(-height // side), -(-width // side)
        signs = self.draws.signs(self.channels, rows, columns)
        signs = signs.repeat_interleave(side, 2).repeat_interleave(side, 3)[:, :, :height, :width]
        return self._to_sphere(tiles * signs * self.mask)

    def next(self, delta: Tensor, share: float) -> Tensor:
        height, width = self.mask.shape[2:]
        sides = self.sides(share, least=3)
        sides = (sides - (sides % 2 == 0).long()).clamp(min=1)
        row, column = self.places(sides)
        window, given = self.window(sides, row, column), self.window(sides, *self.places(sides))
        spare = (self.ball.eps**2 - _square(delta)).clamp(min=0)
        length = (spare + _square(delta * (window | given))).sqrt()
        shape = bump(sides, height=height, width=width, row=row, column=column).to(delta.device)
        old = delta * window
        old = old / _square(old).sqrt().clamp(min=TINY)
        new = (shape * self.draws.signs(self.channels, 1, 1) + old) * window * self.mask
        new = new / _square(new).sqrt().clamp(min=TINY) * length
        return torch.where(window, new, torch.where(given, 0, delta))

    def _to_sphere(self, delta: Tensor) -> Tensor:
        return self.ball.eps * delta / _square(delta).sqrt().clamp(min=TINY)


def bump(sides: Tensor, *, height: int, width: int, row: Tensor | None = None, column: Tensor | None = None) -> Tensor:
    """A hill and a valley, side by side, on windows of these sides: float32 (N, 1, height, width), zero elsewhere.

    eta of section 4.3: each half sums 1 / (m + 1 - k)^2 over the nested squares k that hold the pixel.
    """
    row = torch.zeros_like(sides) if row is None else row
    column = torch.zeros_like(sides) if column is None else column
    rows = torch.arange(height, device=sides.device)[None, :, None] - row[:, None, None]
    columns = torch.arange(width, device=sides.device)[None, None, :] - column[:, None, None]
    side = sides[:, None, None]
    half = (side // 2).clamp(min=1)
    in_window = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    left = columns < half
    depth_rows = torch.minimum(rows, side - 1 - rows)
    own_columns = torch.where(left, columns, columns - half)
    own_width = torch.where(left, half, side - half)
    depth_columns = torch.minimum(own_columns, own_width - 1 - own_columns)
    depth = torch.minimum(depth_rows, 2 * depth_columns).clamp(min=0)
    most = side // 2 + 1
    below = torch.arange(max(height, width) + 1, device=sides.device).double().pow(-2)
    below[0] = 0
    below = below.cumsum(0)  # of the first n squares, from the smallest one
    height_at = (below[most] - below[(most - depth - 1).clamp(min=0)]).float()
    return (torch.where(left, height_at, -height_at) * in_window)[:, None]


def _around(pixel: Tensor, back: Tensor, sides: Tensor, size: int) -> Tensor:
    """First row or column of windows that hold the pixel; back in [0, 1): where in its window it lies."""
    return torch.minimum((pixel - (back * sides).floor().long()).clamp(min=0), size - sides)


def _square(delta: Tensor) -> Tensor:
    return delta.square().sum((1, 2, 3), keepdim=True)


PROPOSALS: dict[str, type[LinfSquares] | type[L2Squares]] = {"linf": LinfSquares, "l2": L2Squares}
