"""Square attack: random search with squares of one color, without gradients.

Source: Andriushchenko et al., "Square Attack: a query-efficient black-box adversarial attack via random search",
ECCV 2020, algorithms 1 to 3, arXiv:1912.00049. Ours draws a window of its own for each image, and only windows that
hold a pixel of the mask; their size follows the number of open pixels.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pixelprune.attacks.balls import Ball, inside
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.squares import PROPOSALS
from pixelprune.attacks.twin import exactly, roughly
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws
from pixelprune.options import Options

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Of 10,000 queries: after which of them the share of changed pixels is halved (section 5.1)."""


class Square(Options):
    name: Literal["square"] = "square"
    queries: int = Field(5000, ge=1, description="Points of an image that the model is asked about.")
    share: float = Field(
        0.8,
        gt=0,
        le=1,
        description="Of the open pixels, the share that the first squares would cover if those lay together.",
    )

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

        The estimator is not used. Passes: 1 forward an image, at most `queries` more, and one for each that the copy of
        a model finds better; no gradient.
        """
        worst = Worst(model, images, labels, mask)
        index = worst.standing
        if len(index) == 0:
            return worst.points
        copied = roughly(model) is not exactly(model)
        rough, model = narrow(roughly(model), index), narrow(exactly(model), index)
        images, labels, mask = images[index], labels[index], mask[index]
        proposals = PROPOSALS[ball.norm](ball, mask, images.shape[1], draws.narrow(index))
        margins = torch.full((len(index),), -torch.inf, device=images.device)
        rough_margins = margins.clone()
        delta = torch.zeros_like(images)
        for query in range(self.queries):
            proposed = proposals.first() if query == 0 else proposals.next(delta, self.share_at(query))
            points = inside(images, proposed, ball)
            with torch.no_grad():
                # The copy says which squares could be better, the model which are: of the copy's answers alone the
                # search would collect those that err the most.
                seen = margin(rough(points), labels)
                asked = seen > rough_margins
                found = torch.full_like(margins, -torch.inf) if copied else seen
                if copied and asked.any():
                    found[asked] = margin(narrow(model, asked)(points[asked]), labels[asked])
            better = found > margins
            rough_margins = torch.where(better, seen, rough_margins)
            margins = torch.where(better, found, margins)
            delta = torch.where(better.view(-1, 1, 1, 1), points - images, delta)
            stands = worst.see(index, points, found)
            if not stands.all():
                model, rough, index = narrow(model, stands), narrow(rough, stands), index[stands]
                images, labels, margins, delta = images[stands], labels[stands], margins[stands], delta[stands]
                rough_margins = rough_margins[stands]
                proposals.narrow(stands)
            if len(index) == 0:
                break
        return worst.points

    def share_at(self, query: int) -> float:
        """Of the open pixels, how many a square of this query changes."""
        at = query / self.queries * 10_000
        return self.share / 2 ** sum(at > halving for halving in HALVINGS)
