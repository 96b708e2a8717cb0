"""Robustness as a probability, to a precision that is set beforehand: of random points, and of attacked images.

The scheme of evaluation.massart, twice: for each image, draws are uniform points of the ball and what is estimated is
how likely the class stays as it is; for the run, draws are images in random order and what is estimated is robust
accuracy, which may stop early. The first says nothing of what an attacker finds.
Source: Cardelli et al., "Statistical Guarantees for the Robustness of Bayesian Neural Networks", IJCAI 2019,
arXiv:1903.01980. Theirs draws networks from a posterior: evaluation.massart.over_posterior.
"""

from typing import Annotated, Any, Literal, Self

import pandas
import torch
from pydantic import Field, model_validator

from pixelprune.attacks.balls import inside
from pixelprune.attacks.fast import Fast
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import narrow
from pixelprune.attacks.pgd import PGD
from pixelprune.evaluation.massart import Precision, Trials
from pixelprune.measures.access import cut, logits, parts
from pixelprune.measures.measure import Measured, MeasureOptions, Seen, Subject
from pixelprune.measures.plain import rate

Attack = Annotated[PGD | Fast, Field(discriminator="name")]
AT_ONCE = 32
"""Images attacked in one batch. Those after the stop are lost, as if they had not been attacked."""


class Probabilistic(MeasureOptions):
    name: Literal["probabilistic"]
    images: int = Field(300, ge=1, description="Test images at most that robust accuracy is estimated from.")
    sampled: int = Field(100, ge=1, description="Of these, how many are looked at around, by random points.")
    gamma: float = Field(0.075, gt=0, lt=1, description="How far an estimate may lie from its probability.")
    delta: float = Field(0.075, gt=0, lt=1, description="How likely it may lie farther.")
    alpha: float = Field(0.05, gt=0, lt=1, description="Of delta, what the interval after each draw may err.")
    attack: Attack = Field(Fast(), description="What decides on an image of robust accuracy: `fast` or `pgd`.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _ = self.precision
        return self

    @property
    def precision(self) -> Precision:
        return Precision(self.gamma, self.delta, self.alpha)

    def __call__(self, subject: Subject) -> Measured:
        """Table `points`: a row an image, as Trials.table. `robust`: a row for robust accuracy, likewise."""
        seen = subject.test.first(self.images)
        around = seen.first(self.sampled)
        points, robust = self._points(subject, around), self._robust(subject, seen)
        right = logits(subject, seen).argmax(1) == seen.labels
        summary: dict[str, Any] = {
            "gamma": self.gamma, "delta": self.delta, "alpha": self.alpha, "chernoff": self.precision.chernoff,
            "norm": subject.threat.norm, "eps": subject.threat.headline, "clean": rate(right.cpu().numpy()),
            "points": {
                "n": len(around), "mean_probability": float(points["probability"].mean()),
                "smallest_probability": float(points["probability"].min()),
                "mean_samples": float(points["samples"].mean()), "mean_saved": float(points["saved"].mean()),
            },
            "robust": {"attack": self.attack.name, **robust.to_dict("records")[0]},
        }  # fmt: skip
        return Measured(summary, {"points": points, "robust": robust})

    def _points(self, subject: Subject, seen: Seen) -> pandas.DataFrame:
        tables = []
        for part in parts(seen):
            tables.append(self._part(subject, part))
            tables[-1].insert(0, "image", part.ids)
        return pandas.concat(tables, ignore_index=True)

    def _part(self, subject: Subject, seen: Seen) -> pandas.DataFrame:
        """How likely a uniform point of the ball, on the kept pixels, has the class of the image itself."""
        trials, draws = Trials(len(seen), self.precision), subject.draws(seen, "probabilistic", "points")
        model, ball, channels = subject.model(seen), subject.threat.ball(), seen.images.shape[1]
        with torch.no_grad():
            classes = model(seen.images).argmax(1)
            for number in range(self.precision.chernoff):
                index = trials.going.to(subject.device)
                if len(index) == 0:
                    break
                delta = ball.sample(seen.mask[index], channels, draws.branch(number).narrow(index))
                found = narrow(model, index)(inside(seen.images[index], delta, ball)).argmax(1)
                trials.see(index, found == classes[index])
        return trials.table()

    def _robust(self, subject: Subject, seen: Seen) -> pandas.DataFrame:
        """Robust accuracy from the first images that are enough, in their random order."""
        trials, only = Trials(1, self.precision), torch.zeros(1, dtype=torch.int64)
        for start in range(0, len(seen), AT_ONCE):
            part = cut(seen, slice(start, start + AT_ONCE))
            model, draws = subject.model(part), subject.draws(part, "probabilistic", "robust")
            points = self.attack(
                model, part.images, part.labels, ball=subject.threat.ball(), mask=part.mask, draws=draws
            )  # fmt: skip
            with torch.no_grad():
                stands = margin(model(points), part.labels) <= 0
            for outcome in stands.split(1):
                trials.see(only, outcome)
                if len(trials.going) == 0:
                    return trials.table()
        return trials.table()
