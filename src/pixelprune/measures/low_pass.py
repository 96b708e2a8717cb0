"""How much of the spectrum a model needs: accuracy on low-passed images, and on what the filter takes away.

Source: Oleszkiewicz et al., "Understanding the robustness of deep neural network classifiers for breast cancer
screening", arXiv:2003.10041, section 2; the Gaussian filter, which does not ring, the sweep and its two numbers are
ours. Whether a model should do without fine detail is for the task to say: a small lesion is fine detail too.
"""

from itertools import pairwise
from typing import Annotated, Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import Tensor

from pixelprune.measures import answers
from pixelprune.measures.filters import Shape, high_passed, low_passed
from pixelprune.measures.measure import Measured, MeasureOptions, Subject
from pixelprune.options import Listed

Radius = Annotated[float, Field(gt=0, le=24)]
READING = "A model that ignores what a filter takes away is neither better nor worse for it: the task decides."


class LowPass(MeasureOptions):
    name: Literal["low_pass"]
    radii: Annotated[tuple[Radius, ...], Listed] = Field(
        (2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0),
        min_length=2,
        description="Of the filters, ascending, in cycles per 32 pixels; from 22.7 on the ideal one keeps all.",
    )

    @field_validator("radii")
    @classmethod
    def _ascend(cls, radii: tuple[float, ...]) -> tuple[float, ...]:
        if any(larger <= smaller for smaller, larger in pairwise(radii)):
            raise ValueError("must ascend")
        return radii

    def __call__(self, subject: Subject) -> Measured:
        """Accuracy at each radius, area under it, and where half of it is reached. Table: rows of every image.

        High-passed images get their mean colour back, and all are cut to [0, 1].
        Picture: the first image low-passed, then high-passed, at each radius; ideal, then Gaussian.
        """
        seen = subject.test.first(self.images)
        first = answers.logits(subject, seen, seen.images)
        clean, chance = first.argmax(1), 1 / first.shape[1]
        predictions, strips = {("none", "all", 0.0): clean}, []
        summary: dict[str, Any] = {"clean": answers.rate(clean == seen.labels), "chance": chance}
        for shape in get_args(Shape):
            right = {}
            for band, passed in BANDS.items():
                views = [passed(seen.images, radius, shape) for radius in self.radii]
                found = [answers.logits(subject, seen, images).argmax(1) for images in views]
                predictions |= {(shape, band, radius): said for radius, said in zip(self.radii, found)}
                right[band] = torch.stack(found) == seen.labels
                strips.append(torch.cat([images[0] for images in views], 2))
            curve = right["low"].double().cpu().numpy()
            summary[shape] = {
                "low": {f"{radius:g}": answers.rate(hits) for radius, hits in zip(self.radii, right["low"])},
                "high": {f"{radius:g}": answers.rate(hits) for radius, hits in zip(self.radii, right["high"])},
                "lp_auc": answers.mean(area(self.radii, curve), seen, subject.seed, "low_pass", shape),
                "rho50": half(self.radii, curve.mean(1), summary["clean"]["share"], chance),
            }
            subject.tell(f"{shape} filters of {len(self.radii)} radii")
        summary["reading"] = READING
        picture = (torch.cat(strips, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        table = answers.rows(seen, predictions, ["filter", "band", "radius"])
        return Measured(summary, {"rows": table}, {"filtered": picture})


def area(radii: tuple[float, ...], curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean height of a curve (R, ...) over the radii (R,), by trapezoids: LP-AUC, in [0, 1] for shares."""
    return np.asarray(np.trapezoid(curve, radii, axis=0) / (radii[-1] - radii[0]))


def half(radii: tuple[float, ...], curve: NDArray[np.float64], clean: float, chance: float) -> float | None:
    """The smallest radius with half of what the clean accuracy is above chance; None where none has, or it is not."""
    enough = [radius for radius, share in zip(radii, curve) if share >= chance + (clean - chance) / 2]
    return enough[0] if enough and clean > chance else None


def _low(images: Tensor, radius: float, shape: Shape) -> Tensor:
    return low_passed(images, radius, shape).clamp(0, 1)


def _high(images: Tensor, radius: float, shape: Shape) -> Tensor:
    color = images.mean((2, 3), keepdim=True, dtype=torch.float64).float()
    return (color + high_passed(images, radius, shape)).clamp(0, 1)


BANDS = {"low": _low, "high": _high}
