"""How probable it is that a network drawn from a posterior is robust at an image: each draw attacked by itself.

A draw that is known is one network: an attack breaks it or not, and a sequential scheme says after how many draws the
share is known well enough. An attack is no proof, so robustness is over-stated by what it misses.
Source: Cardelli et al., "Statistical Guarantees for the Robustness of Bayesian Neural Networks", IJCAI 2019,
arXiv:1903.01980.
"""

from dataclasses import dataclass

import pandas
import torch
from torch import Tensor

from pixelprune.attacks.losses import margin
from pixelprune.attacks.mean import Drawn
from pixelprune.attacks.narrowing import narrow
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.threat import Threat
from pixelprune.draws import Draws
from pixelprune.evaluation.massart import Precision, over_posterior
from pixelprune.harness.behind import Behind

STEPS = 10
"""Of the PGD against each draw."""


@dataclass(frozen=True)
class Known:
    """One draw, the same at every call: images -> logits, narrowed as models are."""

    drawn: Drawn
    draws: Draws

    def __call__(self, images: Tensor) -> Tensor:
        return self.drawn(images, Draws(self.draws.seeds))

    def narrow(self, index: Tensor) -> "Known":
        return Known(narrow(self.drawn, index), self.draws.narrow(index))


def measure(few: Behind, threat: Threat, precision: Precision) -> pandas.DataFrame:
    """A row an image: image, probability (that a draw stands), low, high, known, samples, saved.

    Images that the mean of the posterior gets wrong without an attack are asked about as well.
    """
    images, labels = few.batch.images, few.batch.labels
    streams, drawn, attack, ball = few.streams("probability"), few.drawn(), PGD(steps=STEPS), threat.ball()

    def stands(number: int, index: Tensor) -> Tensor:
        own, answer = streams.narrow(index), labels[index]
        model = Known(narrow(drawn, index), own.branch(2 * number))
        everywhere = torch.ones_like(images[index][:, :1], dtype=torch.bool)
        points = attack(
            model, images[index], answer, ball=ball, mask=everywhere, draws=own.branch(2 * number + 1)
        )  # fmt: skip
        with torch.no_grad():
            return (margin(model(points), answer) <= 0).cpu()

    return over_posterior(stands, len(images), precision).assign(image=few.batch.ids)
