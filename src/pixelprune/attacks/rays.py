"""RayS: the nearest boundary along rays of signs, from decisions alone. It asks for the class and for nothing else.

What hides gradients or logits hides nothing from it. Source: Chen & Gu, "RayS: A Ray Searching Method for Hard-label
Adversarial Attack", KDD 2020, algorithms 1 to 3, arXiv:2006.12792. Ours turns signs on the pixels of the mask only, and
works in any ball: the length of a ray of signs is the ball's.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pixelprune.attacks.balls import Ball, inside
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.twin import exactly
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws
from pixelprune.options import Options

HALVINGS = 7
"""Of the radius along a ray that has become better: the boundary is then known to a hundredth of it."""


class RayS(Options):
    name: Literal["rays"] = "rays"
    queries: int = Field(1000, ge=1, description="Points of an image whose class is asked for.")

    def __call__(
        self,
        model: Model,
        images: Tensor,
        labels: Tensor,
        *,
        ball: Ball,
        mask: Tensor,
        draws: Draws,
        estimator: Estimator = PLAIN,
    ) -> Tensor:
        """Adversarial images, float32 (N, C, H, W) in [0, 1]; shapes and guarantees as in PGD.

        The estimator is not used. Passes: 1 forward an image, and at most queries + HALVINGS more; no gradient.
        """
        worst = Worst(model, images, labels, mask)
        index = worst.standing
        if len(index) == 0:
            return worst.points
        model, images, labels = narrow(exactly(model), index), images[index], labels[index]
        mask = mask[index].expand_as(images)
        ray = draws.narrow(index).signs(*images.shape[1:]) * mask
        radius = ball.length(mask.float())  # a corner of the pixel range is not farther than that
        asked = torch.zeros_like(index)

        def fooled(rows: Tensor, rays: Tensor, radii: Tensor) -> Tensor:
            """Whether the points so far along the rays are misclassified, bool (M,); `worst` sees those in the ball."""
            steps = rays * (radii / ball.length(rays)).view(-1, 1, 1, 1)
            near = radii <= ball.eps
            points = torch.where(
                near.view(-1, 1, 1, 1), inside(images[rows], steps, ball), (images[rows] + steps).clamp(0, 1)
            )
            with torch.no_grad():
                found = margin(narrow(model, rows)(points), labels[rows])
            asked[rows] += 1
            worst.see(index[rows[near]], points[near], found[near])
            return found > 0

        for block in _blocks(mask):
            left = (worst.margins[index] <= 0) & (asked < self.queries)
            if not left.any():
                break
            rows = (left & block.flatten(1).any(1)).nonzero().squeeze(1)
            turned = torch.where(block[rows], -ray[rows], ray[rows])
            better = fooled(rows, turned, radius[rows])
            rows, turned = rows[better], turned[better]
            ray[rows] = turned
            low, high = torch.zeros_like(radius[rows]), radius[rows]
            for _ in range(HALVINGS if len(rows) else 0):
                middle = (low + high) / 2
                closer = fooled(rows, turned, middle)
                low, high = torch.where(closer, low, middle), torch.where(closer, middle, high)
            radius[rows] = high
        return worst.points


def _blocks(mask: Tensor) -> Iterator[Tensor]:
    """Which coordinates are turned together, bool (N, C, H, W): all open ones, then halves, quarters, down to one.

    Then one by one again, without an end: each turn may have made another one worth its while. Nothing is open where an
    image has fewer pixels than there are parts.
    """
    count = mask.flatten(1).sum(1).clamp(min=1).view(-1, 1, 1, 1)
    place = (mask.flatten(1).cumsum(1) - 1).view(mask.shape)
    most = 2 ** count.double().log2().ceil().long()  # the first power of two that leaves none together
    parts = torch.ones_like(most)
    while True:
        part = torch.div(place * parts, count, rounding_mode="floor")
        for number in range(int(parts.max())):
            yield (part == number % parts) & mask  # an image of few pixels is gone through several times
        parts = torch.minimum(2 * parts, most)
