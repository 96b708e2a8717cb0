"""Last-layer Laplace: the Gaussian whose precision is the curvature of the loss in the last layer's weights.

Source: Daxberger et al., "Laplace Redux: Effortless Bayesian Deep Learning", NeurIPS 2021, sections 2 and 3,
arXiv:2106.14806; the evidence's fixed point: MacKay, "Bayesian Interpolation", Neural Computation 4 (1992), section 4.
Of a linear layer the generalised Gauss-Newton matrix is the Hessian itself.
"""

from collections.abc import Callable
from functools import reduce
from math import inf
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pixelprune.attacks.mean import Drawn
from pixelprune.defenses.defense import DefenseOptions, Gradient, Lesson
from pixelprune.defenses.last_layer import LastLayer
from pixelprune.draws import Draws
from pixelprune.errors import ParamsError, TrainingError

CHUNK = 1024
"""Images whose features are computed at once."""
FULL = 10_000
"""Weights whose covariance with each other is kept, at most: 800 MB in double precision."""
ITERATIONS = 200
"""Of the evidence's fixed point; its logarithm comes nearer by a share each time."""


class Laplace(DefenseOptions):
    name: Literal["laplace"]
    covariance: Literal["full", "kronecker"] = Field(
        "full", description="Of all weights with each other, or of the classes times of the features: for many classes."
    )
    prior_precision: float | None = Field(
        None, gt=0, description="One over the prior's variance; the one of the largest evidence where left out."
    )
    randomised: ClassVar[bool] = True
    posterior: ClassVar[bool] = True

    def learn(self, network: nn.Module, lesson: Lesson) -> dict[str, Tensor]:
        """From the training images, perturbed as in training, not moved; the mean is the network as it is."""
        last = LastLayer.of(network)
        weight = last.weight.double()
        if self.covariance == "full" and weight.numel() > FULL:
            raise ParamsError(
                f"laplace: {weight.numel():,} weights are too many with each other. Give covariance: kronecker."
            )
        features = _features(last, network, lesson)
        roots = self.roots(features, lambda part: softmax_curvature(part @ weight.T), weight, lesson.tell)
        return {name: root.float() for name, root in roots.items()}

    def roots(
        self, features: Tensor, curvature: Callable[[Tensor], Tensor], weight: Tensor, tell: Callable[[str], None]
    ) -> dict[str, Tensor]:
        """Of the covariance: `root` (K D, K D), or `classes` (K, K), `features` (D, D) and `deviation` (K, D).

        features: (N, D); curvature: of any loss, features (M, D) -> its Hessian in the logits of each, (M, K, K).
        """
        parts = features.split(CHUNK)
        if self.covariance == "full":
            values, vectors = torch.linalg.eigh(reduce(torch.add, (ggn(part, curvature(part)) for part in parts)))
            return {"root": vectors * self._deviation(values, weight, tell)}
        of_classes, classes = torch.linalg.eigh(reduce(torch.add, (curvature(part).sum(0) for part in parts)))
        of_features, turned = torch.linalg.eigh(features.T @ features / len(features))
        values = of_classes.clamp(min=0)[:, None] * of_features.clamp(min=0)
        return {"classes": classes, "features": turned, "deviation": self._deviation(values, weight, tell)}

    def around(self, network: nn.Module, learned: dict[str, Tensor], gradient: Gradient = "identity") -> Drawn:
        """A stream draws all weights, so it stands for one network, whatever image it is shown."""
        last = LastLayer.of(network)
        shape = last.weight.shape
        roots = {name: value.to(last.weight) for name, value in learned.items()}

        def drawn(images: Tensor, draws: Draws) -> Tensor:
            features = last.features(images)
            noise = draws.normal(*shape).to(last.weight)
            return features @ last.weight.T + spread(features, noise, roots)

        return drawn

    def _deviation(self, values: Tensor, weight: Tensor, tell: Callable[[str], None]) -> Tensor:
        values = values.clamp(min=0)  # what is below is rounding
        precision = self.prior_precision or evidence_precision(values, float((weight**2).sum()))
        tell(f"prior precision {precision:.3g}")
        return (values + precision) ** -0.5


def softmax_curvature(logits: Tensor) -> Tensor:
    """The Hessian of cross-entropy in the logits: (N, K) -> (N, K, K)."""
    probabilities = torch.softmax(logits, 1)
    return torch.diag_embed(probabilities) - probabilities[:, :, None] * probabilities[:, None, :]


def ggn(features: Tensor, curvature: Tensor) -> Tensor:
    """The Hessian of the summed loss in the weights, (K D, K D), a class after the other.

    features: (N, D); curvature: Hessian of an image's loss in its logits, (N, K, K).
    """
    classes = range(curvature.shape[1])
    rows = [torch.cat([features.T @ (curvature[:, k, m, None] * features) for m in classes], 1) for k in classes]
    return torch.cat(rows)


def evidence_precision(values: Tensor, squared: float) -> float:
    """The prior's precision at which the Laplace approximation of the evidence is largest.

    values: eigenvalues of the loss's Hessian, not negative; squared: the squared length of the weights.
    """
    precision = 1.0
    for _ in range(ITERATIONS):
        # The geometric mean of two steps: single ones overshoot where the curvature is far below the prior.
        precision = (precision * float((values / (values + precision)).sum()) / squared) ** 0.5
    if not 0 < precision < inf:
        raise TrainingError("laplace: the loss has no curvature in the last layer. Give a prior_precision.")
    return precision


def spread(features: Tensor, noise: Tensor, roots: dict[str, Tensor]) -> Tensor:
    """What draws of the weights, (N, K, D) from standard normal noise, add to the logits: (N, K)."""
    if "root" in roots:
        return torch.einsum("nkd,nd->nk", (noise.flatten(1) @ roots["root"].T).view_as(noise), features)
    drawn = torch.einsum("nkd,nd->nk", roots["deviation"] * noise, features @ roots["features"])
    return drawn @ roots["classes"].T


def _features(last: LastLayer, network: nn.Module, lesson: Lesson) -> Tensor:
    """float64 (N, D)"""
    found = []
    for pixels, labels in zip(lesson.images.split(CHUNK), lesson.labels.split(CHUNK)):
        images = lesson.perturb(network, pixels.float() / 255, labels, lesson.generator)
        with torch.no_grad():
            found.append(last.features(images).double())
    return torch.cat(found)
