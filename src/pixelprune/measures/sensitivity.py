"""Four perturbations side by side: adversarial, universal, random noise, and a low-pass filter.

Source: Oleszkiewicz et al., "Understanding the robustness of deep neural network classifiers for breast cancer
screening", arXiv:2003.10041, section 2. The first three are of the run's threat: the same norm, the headline radius,
any pixel. The adversarial one takes the mask of the clean image as given; all others are there before the mask is
computed. What adapts to the mask is the evaluation's to attack with.
"""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from pixelprune import sampling
from pixelprune.attacks.balls import Ball, inside
from pixelprune.attacks.narrowing import narrow
from pixelprune.attacks.pgd import PGD
from pixelprune.measures import answers, universal
from pixelprune.measures.filters import low_passed
from pixelprune.measures.low_pass import READING
from pixelprune.measures.measure import Measured, MeasureOptions, Seen, Subject


class Sensitivity(MeasureOptions):
    name: Literal["sensitivity"]
    steps: int = Field(20, ge=1, description="Of PGD, which makes the adversarial images.")
    universal_images: int = Field(500, ge=1, description="Held out images that the universal one is learned from.")
    universal_epochs: int = Field(5, ge=1, description="Passes over them.")
    universal_batch: int = Field(50, ge=1, description="Images of one of its steps.")
    universal_step: float = Field(0.2, gt=0, le=2, description="Length of its first step, as a share of the radius.")
    radius: float = Field(8.0, gt=0, le=24, description="Of the ideal low-pass filter, in cycles per 32 pixels.")

    def __call__(self, subject: Subject) -> Measured:
        """Accuracy and share of changed predictions under each. Table: rows of every image. Picture: the universal one.

        An image that is wrong already is no aim of the adversarial one, and stays as it is.
        """
        seen, ball = subject.test.first(self.images), subject.threat.ball()
        clean = answers.logits(subject, seen, seen.images).argmax(1)
        frozen, adversarial = self._adversarial(subject, seen, ball)
        delta = self._universal(subject, ball)
        subject.tell(f"universal perturbation from {min(self.universal_images, len(subject.held_out))} images")
        shape, draws = seen.images.shape[1:], subject.draws(seen, "sensitivity", "noise")
        views = {
            "universal": inside(seen.images, delta, ball),
            "uniform": inside(seen.images, as_long(2 * draws.uniform(*shape) - 1, ball), ball),
            "gaussian": inside(seen.images, as_long(draws.normal(*shape), ball), ball),
            "low_pass": low_passed(seen.images, self.radius, "ideal").clamp(0, 1),
        }
        found = {name: answers.logits(subject, seen, images).argmax(1) for name, images in views.items()}
        summary: dict[str, Any] = {
            "clean": answers.rate(clean == seen.labels),
            "norm": subject.threat.norm,
            "eps": subject.threat.headline,
            "adversarial": answers.compared(adversarial, frozen, seen.labels),
        }
        summary |= {name: answers.compared(said, clean, seen.labels) for name, said in found.items()}
        summary["reading"] = READING
        predictions = {("clean",): clean, ("adversarial",): adversarial} | {(key,): said for key, said in found.items()}
        return Measured(
            summary, {"rows": answers.rows(seen, predictions, ["perturbation"])}, {"universal": shown(delta)}
        )

    def _adversarial(self, subject: Subject, seen: Seen, ball: Ball) -> tuple[Tensor, Tensor]:
        """Predictions with the masks of the clean images, int64 (N,): for these images, and for adversarial ones."""
        model, draws = subject.model(seen), subject.draws(seen, "sensitivity", "adversarial")
        before, after = [], []
        for index in answers.parts(seen.images):
            own, images = narrow(model, index), seen.images[index]
            points = PGD(steps=self.steps)(
                own, images, seen.labels[index],
                ball=ball, mask=torch.ones_like(images[:, :1], dtype=torch.bool), draws=draws.narrow(index),
            )  # fmt: skip
            with torch.no_grad():
                before.append(own(images).argmax(1))
                after.append(own(points).argmax(1))
        return torch.cat(before), torch.cat(after)

    def _universal(self, subject: Subject, ball: Ball) -> Tensor:
        lesson = subject.held_out.first(self.universal_images)
        return universal.learn(
            subject.model(lesson), lesson.images, lesson.labels, ball, epochs=self.universal_epochs,
            batch=self.universal_batch, relative_step=self.universal_step,
            generator=sampling.torch_generator(subject.seed, "measures", "universal"),
        )  # fmt: skip


def as_long(noise: Tensor, ball: Ball) -> Tensor:
    """The noise (N, C, H, W), each image's own scaled to the radius of the ball."""
    length = ball.length(noise).clamp(min=torch.finfo(noise.dtype).tiny)
    return noise * (ball.eps / length).view(-1, 1, 1, 1)


def shown(delta: Tensor) -> NDArray[np.uint8]:
    """A perturbation (1, C, H, W) for the eye, uint8 (H, W, C): grey is none, its largest value is black or white."""
    largest = delta.abs().amax().clamp(min=torch.finfo(delta.dtype).tiny)
    picture = (127.5 + 127.5 * delta[0] / largest).round().byte()
    return picture.permute(1, 2, 0).cpu().numpy()
