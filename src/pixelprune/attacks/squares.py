"""What the square attack tries next: for linf squares of one color, for l2 bumps that take their length elsewhere."""

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
    """A grid of bumps first; then a bump in one window, with the length that another window gives up: section 4.3.

    Under a mask a bump is what is left of it on open pixels, again of length 1: half of a proposal, as published.
    """

    def first(self) -> Tensor:
        height, width = self.mask.shape[2:]
        side = max(min(height, width) // 5, 1)
        rows, columns = height // side, width // side
        upright, turned = bump(
            torch.full((2,), side), height=side, width=side, turned=torch.tensor([False, True])
        ).to(self.mask.device)  # fmt: skip
        signs, turns = self.draws.signs(self.channels, rows, columns), self.draws.signs(1, rows, columns)
        signs, turns = (_tiled(each, side) for each in (signs, turns))
        tiles = signs * torch.where(turns > 0, upright.repeat(1, rows, columns), turned.repeat(1, rows, columns))
        delta = torch.zeros_like(self.mask, dtype=tiles.dtype).repeat(1, self.channels, 1, 1)
        top, left = (height - rows * side) // 2, (width - columns * side) // 2
        delta[:, :, top : top + rows * side, left : left + columns * side] = tiles
        return self._to_sphere(delta * self.mask)

    def next(self, delta: Tensor, share: float) -> Tensor:
        height, width = self.mask.shape[2:]
        sides = self.sides(share, least=3)
        sides = (sides + (sides % 2 == 0).long()).clamp(max=min(height, width))
        row, column = self.places(sides)
        window, given = self.window(sides, row, column), self.window(sides, *self.places(sides))
        turned = self.draws.signs() > 0
        shape = bump(sides, height=height, width=width, row=row, column=column, turned=turned) * self.mask
        shape, old = (_unit(part, dims=(2, 3)) for part in (shape, delta * window))
        spare = (self.ball.eps**2 - _square(delta)).clamp(min=0)
        length = (spare / self.channels + _square(delta * (window | given), dims=(2, 3))).sqrt()
        new = _unit(shape * self.draws.signs(self.channels, 1, 1) + old, dims=(2, 3)) * length
        return self._to_sphere(torch.where(window, new, torch.where(given, 0, delta)))

    def _to_sphere(self, delta: Tensor) -> Tensor:
        return self.ball.eps * _unit(delta)


def bump(
    sides: Tensor,
    *,
    height: int,
    width: int,
    turned: Tensor,
    row: Tensor | None = None,
    column: Tensor | None = None,
) -> Tensor:
    """A hill and a valley on windows of these sides: float32 (N, 1, height, width) of length 1, zero elsewhere.

    eta of section 4.3: each half is the sum of 1 / k^2 over the nested squares k = 1, 2, ... around its middle that
    hold the pixel, and of length 1. turned: bool (N,), the hill lies left of the valley, not above it.
    """
    row = torch.zeros_like(sides) if row is None else row
    column = torch.zeros_like(sides) if column is None else column
    rows = torch.arange(height, device=sides.device)[None, :, None] - row[:, None, None]
    columns = torch.arange(width, device=sides.device)[None, None, :] - column[:, None, None]
    side = sides[:, None, None]
    window = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    along = torch.where(turned[:, None, None], columns, rows)
    across = torch.where(turned[:, None, None], rows, columns)
    half = side // 2
    hill = along < half
    middle = torch.where(hill, half // 2, half + (side - half) // 2)
    away = torch.maximum((along - middle).abs(), (across - half).abs())
    sums = torch.arange(max(height, width) + 2, device=sides.device).double().pow(-2)
    sums[0] = 0
    sums = sums.cumsum(0)
    level = ((sums[half + 1] - sums[away.clamp(max=max(height, width))]).float() * window)[:, None]
    hill = hill[:, None]
    return _unit(_unit(level * hill) - _unit(level * ~hill))


def _tiled(values: Tensor, side: int) -> Tensor:
    """Each value as a square of that side."""
    return values.repeat_interleave(side, 2).repeat_interleave(side, 3)


def _around(pixel: Tensor, back: Tensor, sides: Tensor, size: int) -> Tensor:
    """First row or column of windows that hold the pixel; back in [0, 1): where in its window it lies."""
    return torch.minimum((pixel - (back * sides).floor().long()).clamp(min=0), size - sides)


def _square(delta: Tensor, dims: tuple[int, ...] = (1, 2, 3)) -> Tensor:
    return delta.square().sum(dims, keepdim=True)


def _unit(delta: Tensor, dims: tuple[int, ...] = (1, 2, 3)) -> Tensor:
    """Of length 1; zero where it has none."""
    return delta / _square(delta, dims).sqrt().clamp(min=TINY)


PROPOSALS: dict[str, type[LinfSquares] | type[L2Squares]] = {"linf": LinfSquares, "l2": L2Squares}
