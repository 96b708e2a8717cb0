"""The decision surface around an image: right logit minus the best other one, on a plane through the image.

Source: Yu et al., "Interpreting and Evaluating Neural Network Robustness", IJCAI 2019, arXiv:1905.04270:
one direction is the sign of the gradient of cross-entropy, the other random signs. Ours draws these so that they agree
with the first in every other pixel, so the directions are orthogonal; moves on kept pixels only; clips to [0, 1].
"""

from typing import Any, Literal

import numpy as np
import pandas
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import Tensor

from pixelprune.attacks.balls import Ball
from pixelprune.attacks.estimators import PLAIN
from pixelprune.attacks.losses import log_odds, margin
from pixelprune.attacks.narrowing import Model
from pixelprune.draws import Draws
from pixelprune.measures.measure import Measured, MeasureOptions, Subject
from pixelprune.measures.plain import rate

ZOOM = 8
"""Picture pixels from one point of the grid to the next."""
GAP = 8
"""Between two pictures."""
RIGHT, WRONG, ZERO = (0, 114, 178), (179, 78, 0), (26, 26, 26)
"""Colors of the largest value on either side, and of the boundary; white where the value is near zero."""


class Surface(MeasureOptions):
    name: Literal["surface"]
    images: int = Field(4, ge=1, description="Test images that it looks at, at most.")
    side: int = Field(
        21, ge=3, description="Points of the grid along each direction: an odd number, as one is the image."
    )
    reach: float = Field(2.0, gt=0, description="How far the grid goes to each side, as a multiple of eps.")

    @field_validator("side")
    @classmethod
    def _has_a_middle(cls, side: int) -> int:
        if side % 2 == 0:
            raise ValueError("must be odd: the point in the middle is the image")
        return side

    def __call__(self, subject: Subject) -> Measured:
        """Table `surface`: a row a point: image, along, across (multiples of eps) and value. Picture of the same name.

        In the picture the adversarial direction goes to the right, the random one up; the boundary is black.
        """
        seen, ball = subject.test.first(self.images), subject.threat.ball()
        model = subject.model(seen)
        along, across = directions(
            model, seen.images, seen.labels, ball=ball, mask=seen.mask, draws=subject.draws(seen, "surface")
        )
        ticks = np.linspace(-self.reach, self.reach, self.side)
        rows, columns = (places.ravel() for places in np.meshgrid(ticks, ticks, indexing="ij"))
        with torch.no_grad():
            values = torch.stack([
                -margin(model((seen.images + i * along + j * across).clamp(0, 1)), seen.labels)
                for i, j in zip(columns.tolist(), rows.tolist())
            ], 1).cpu().numpy()  # fmt: skip
            right = margin(model(seen.images), seen.labels) < 0
        table = pandas.DataFrame({
            "image": seen.ids.repeat(len(rows)), "along": np.tile(columns, len(seen)),
            "across": np.tile(rows, len(seen)), "value": values.ravel(),
        })  # fmt: skip
        # linf: pixels where both directions agree move by the sum. l2: the two are orthogonal.
        length = np.hypot(rows, columns) if ball.norm == "l2" else np.abs(rows) + np.abs(columns)
        within = length <= 1 + 1e-9
        summary: dict[str, Any] = {
            "n": len(seen), "norm": ball.norm, "eps": ball.eps, "reach": self.reach,
            "clean": rate(right.cpu().numpy()), "right_within_eps": rate(values[:, within].min(1) > 0),
        }  # fmt: skip
        return Measured(summary, {"surface": table}, {"surface": picture(values.reshape(-1, self.side, self.side))})


def directions(
    model: Model, images: Tensor, labels: Tensor, *, ball: Ball, mask: Tensor, draws: Draws
) -> tuple[Tensor, Tensor]:
    """Adversarial and random direction, float32 (N, C, H, W), each as long as the ball's radius; zero off the mask.

    Orthogonal but for one pixel, and for pixels without a gradient.
    """
    # log_odds rises along the gradient of cross-entropy, and does not saturate.
    gradient, _ = PLAIN.gradient(model, images, labels, log_odds, draws)
    along = gradient.sign() * mask
    order = draws.uniform(*images.shape[1:]) + 1.0 * ~mask  # kept pixels come first
    place = order.flatten(1).argsort(1).argsort(1).view_as(order)
    across = (1 - 2.0 * (place % 2)) * torch.where(along == 0, 1, along) * mask
    return _as_long_as_the_radius(along, ball), _as_long_as_the_radius(across, ball)


def picture(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Surfaces (N, side, side) side by side, uint8 (H, W, 3): blue where the class is right, orange where it is not."""
    tiles = [_tile(surface[::-1]) for surface in values]
    gap = np.full((len(tiles[0]), GAP, 3), 255, np.uint8)
    return np.concatenate([part for tile in tiles for part in (tile, gap)][:-1], 1)


def _tile(surface: NDArray[Any]) -> NDArray[np.uint8]:
    fine = _zoomed(_zoomed(surface).T).T
    strength = (np.abs(fine) / max(float(np.abs(fine).max()), np.finfo(np.float32).tiny))[..., None]
    colors = 255 + strength * (np.where(fine[..., None] > 0, RIGHT, WRONG) - np.array(255))
    colors[_crosses(fine > 0) | _crosses((fine > 0).T).T] = ZERO
    return colors.round().astype(np.uint8)


def _zoomed(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Linear interpolation between the columns."""
    count = rows.shape[1]
    places = np.linspace(0, count - 1, (count - 1) * ZOOM + 1)
    return np.stack([np.interp(places, np.arange(count), row) for row in rows])


def _crosses(positive: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whose neighbour to the right, or to the left, lies on the other side: a line of two pixels."""
    changes = positive[:, 1:] != positive[:, :-1]
    return np.pad(changes, ((0, 0), (0, 1))) | np.pad(changes, ((0, 0), (1, 0)))


def _as_long_as_the_radius(direction: Tensor, ball: Ball) -> Tensor:
    length = ball.length(direction).clamp(min=torch.finfo(direction.dtype).tiny)
    return direction * (ball.eps / length).view(-1, 1, 1, 1)
