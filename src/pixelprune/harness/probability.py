"""How probable it is that a network drawn from a posterior is robust at an image: each draw attacked by itself.

A draw that is known is one network: an attack breaks it or not, and a sequential scheme says after how many draws the
share is known well enough. An attack is no proof, so robustness is over-stated by what it misses.
Source: Cardelli et al., "Statistical Guarantees for the Robustness of Bayesian Neural Networks", IJCAI 2019,
arXiv:1903.01980.
"""

import pandas
import torch
from torch import Tensor

from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import narrow
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.threat import Threat
from pixelprune.evaluation.massart import Precision, over_posterior
from pixelprune.harness.behind import Behind, Known

STEPS = 10
"""Of the PGD against each draw."""


def measure(few: Behind, threat: Threat, precision: Precision) -> pandas.DataFrame:
    """A row an image: image, probability (that a draw stands), low, high, known, samples, saved.

    Images that the mean of the posterior gets wrong without an attack are asked about as well.
    """
    images, labels = few.batch.images, few.batch.labels
    streams, drawn, attack, ball = few.streams("probability"), few.drawn(), PGD(steps=STEPS), threat.ball()

    def survives(number: int, index: Tensor) -> Tensor:
        own, answer = streams.narrow(index), labels[index]
        model = Known(narrow(drawn, index), own.branch(2 * number))
        everywhere = torch.ones_like(images[index][:, :1], dtype=torch.bool)
        points = attack(
            model, images[index], answer, ball=ball, mask=everywhere, draws=own.branch(2 * number + 1)
        )  # fmt: skip
        with torch.no_grad():
            return (margin(model(points), answer) <= 0).cpu()

    return over_posterior(survives, len(images), precision).assign(image=few.batch.ids)
