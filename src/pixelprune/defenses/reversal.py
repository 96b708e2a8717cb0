"""Reversal: before an image is classified, a small change of it is searched that makes its views more alike.

Source: Mao et al., "Adversarial Attacks are Reversible with Natural Supervision", ICCV 2021, section 3,
arXiv:2103.14222. The views of an image are told from those of the other images of its batch, so these take part in its
prediction. Theirs trains the head for 200 epochs and takes 40 steps; ours draws each image's views by itself.
"""

from itertools import pairwise
from typing import ClassVar, Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from pixelprune.attacks.balls import Ball, L2Ball, inside, usable
from pixelprune.attacks.mean import Drawn
from pixelprune.attacks.threat import BALLS
from pixelprune.defenses.contrast import contrastive_head, info_nce
from pixelprune.defenses.defense import DefenseOptions, Gradient, Lesson
from pixelprune.defenses.views import drawn, seen
from pixelprune.draws import Draws
from pixelprune.models.penultimate import last_linear, penultimate
from pixelprune.options import PixelDistance, within_range

UNROLLED = 5
"""Steps of the search that are derived through, the last ones: all of them at once would not fit in memory."""


class Reversal(DefenseOptions):
    name: Literal["reversal"]
    norm: Literal["linf", "l2"] = Field("linf", description="How the size of the change is measured.")
    radius: PixelDistance = Field(16 / 255, description="Largest change, in units of the pixel range [0, 1].")
    step: PixelDistance = Field(2 / 255, description="Length of a step of the search.")
    steps: int = Field(20, ge=0, description="Of the search; without any the image stays as it is.")
    random_start: bool = Field(True, description="Start the search anywhere within the radius.")
    views: Literal[2, 4] = Field(2, description="Of each image, other ones in each step.")
    temperature: float = Field(0.2, gt=0, description="By which the cosines of two views are divided.")
    hidden: int = Field(256, ge=1, description="Width of the head's hidden layer.")
    size: int = Field(16, ge=1, description="Numbers that the head makes of a view.")
    epochs: int = Field(5, ge=1, description="Passes over the training images that the head learns from.")
    batch: int = Field(256, ge=2, description="Images of one step of learning.")
    learning_rate: float = Field(1e-3, gt=0, description="Of Adam.")
    randomised: ClassVar[bool] = True
    dynamic: ClassVar[bool] = True
    batch_coupled: ClassVar[bool] = True

    @field_validator("radius")
    @classmethod
    def _within_range(cls, radius: float, others: ValidationInfo) -> float:
        return within_range(radius) if others.data.get("norm") == "linf" else radius

    def learn(self, network: torch.nn.Module, lesson: Lesson) -> dict[str, Tensor]:
        """The head, by the contrastive loss of views of the training images."""
        device, count = lesson.images.device, len(lesson.images)
        features = penultimate(network)
        head = contrastive_head(last_linear(network).in_features, self.hidden, self.size, lesson.generator).to(device)
        optimizer = torch.optim.Adam(head.parameters(), self.learning_rate)
        for epoch in range(1, self.epochs + 1):
            order = torch.randperm(count, generator=lesson.generator)
            total, bounds = 0.0, range(0, count + 1, min(self.batch, count))
            for start, stop in pairwise(bounds):
                images = lesson.images[order[start:stop].to(device)].float() / 255
                draws = Draws(Draws.seeded(len(images), lesson.generator).seeds.to(device))
                with torch.no_grad():
                    found = features(self._looks(images, draws))
                loss = info_nce(head(found).view(self.views, len(images), -1), self.temperature).mean()
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                total += loss.item()
            lesson.tell(f"epoch {epoch}/{self.epochs}: loss {total / (len(bounds) - 1):.3f}")
        return {name: value.detach().clone() for name, value in head.state_dict().items()}

    def around(self, network: torch.nn.Module, learned: dict[str, Tensor], gradient: Gradient = "identity") -> Drawn:
        """identity: what the search adds is a constant. unrolled: its last steps are derived through as well.

        A sign has no gradient: there the backward pass takes the step for one of the same l2 length along the gradient,
        which for l2 is the step itself. Logits are the same either way.
        """
        contrast = self.contrast(network, learned)
        return lambda images, draws: network(self._search(contrast, images, draws, gradient))

    def shown(
        self, network: torch.nn.Module, learned: dict[str, Tensor], images: Tensor, draws: Draws
    ) -> dict[str, Tensor]:
        return {"reversed": self._search(self.contrast(network, learned), images, draws, "identity").detach()}

    def contrast(self, network: torch.nn.Module, learned: dict[str, Tensor]) -> Drawn:
        """What the search lowers: images and a stream for each -> loss of each among the others, float32 (N,)."""
        features = penultimate(network)
        head = contrastive_head(last_linear(network).in_features, self.hidden, self.size, torch.Generator())
        head = head.to(learned["0.weight"])  # its type and place
        head.load_state_dict(learned)
        head.eval().requires_grad_(False)

        def loss(images: Tensor, draws: Draws) -> Tensor:
            projected = head(features(self._looks(images, draws)))
            return info_nce(projected.view(self.views, len(images), -1), self.temperature)

        return loss

    def _looks(self, images: Tensor, draws: Draws) -> Tensor:
        """The first views of all images, then the second ones: float32 (views x N, 3, H, W)."""
        return torch.cat([seen(images, drawn(draws.branch(number))) for number in range(self.views)])

    def _search(self, contrast: Drawn, images: Tensor, draws: Draws, gradient: Gradient) -> Tensor:
        ball = BALLS[self.norm](eps=self.radius)
        points = still = images.detach()
        if self.random_start and self.steps:
            everywhere = torch.ones_like(still[:, :1], dtype=torch.bool)
            points = inside(still, ball.sample(everywhere, still.shape[1], draws.branch(0)), ball)
        constant = self.steps if gradient == "identity" else max(self.steps - UNROLLED, 0)
        for number in range(constant):
            points = self._lowered(contrast, still, points, draws.branch(number + 1), ball)
        points = points + (images - still)  # the same points, with the gradient of the images
        for number in range(constant, self.steps):
            points = self._lowered(contrast, images, points, draws.branch(number + 1), ball)
        return points

    def _lowered(self, contrast: Drawn, images: Tensor, points: Tensor, draws: Draws, ball: Ball) -> Tensor:
        """One step from points near the images; where the points have a gradient, what it returns has one too."""
        derived = points.requires_grad
        with torch.enable_grad():
            start = points if derived else points.detach().requires_grad_()
            (grad,) = torch.autograd.grad(contrast(start, draws).sum(), start, create_graph=derived)
        downhill = usable(-grad, points, torch.ones_like(points[:, :1], dtype=torch.bool))
        return inside(images, points + self.step * _steepest(downhill, ball) - images, ball)


def _steepest(grad: Tensor, ball: Ball) -> Tensor:
    """The ball's, with the derivative of a step along the gradient that has the same l2 length."""
    straight = ball.steepest(grad.detach())
    if not grad.requires_grad:
        return straight
    whole = L2Ball(eps=1)
    smooth = whole.length(straight).view(-1, 1, 1, 1) * whole.steepest(grad)
    return straight + (smooth - smooth.detach())
