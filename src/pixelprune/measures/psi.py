"""psi: how little a prediction can be moved within the ball, as one over the largest divergence found there.

Source: Yu et al., "Interpreting and Evaluating Neural Network Robustness", IJCAI 2019, arXiv:1905.04270.
Ours divides the logits by a temperature calibrated on the same images, or their scale would decide; gives the median
and one over the mean divergence beside the mean, which a few nearly constant images dominate; and says of how many
images the divergence rules out another label. A constant classifier has psi = infinity: read it beside clean accuracy.
As every search, it overstates robustness where it misses the maximum.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas
import torch
from numpy.typing import NDArray
from pydantic import Field

from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Budget, Counted
from pixelprune.attacks.pgd import PGD
from pixelprune.measures.access import Where, access, logits, parts
from pixelprune.measures.divergence import Divergence, farthest
from pixelprune.measures.measure import Measured, MeasureOptions, Seen, Subject
from pixelprune.measures.plain import finite, rate
from pixelprune.measures.temperature import calibrated

COMPARED = 10
"""Steps of the attack whose robust accuracy stands beside psi."""


@dataclass(frozen=True)
class Setting:
    eps: float = 1
    """Factor of the headline's radius."""
    steps: float = 1
    """Factor of the steps, of the comparison's too."""
    seed: int = 0


AS_IT_IS = Setting()
OTHERS = {
    "half eps": Setting(eps=0.5), "twice eps": Setting(eps=2), "half the steps": Setting(steps=0.5),
    "another seed": Setting(seed=1),
}  # fmt: skip


class Psi(MeasureOptions):
    name: Literal["psi"]
    steps: int = Field(20, ge=1, description="Gradient steps of one start.")
    restarts: int = Field(2, ge=1, description="Random starts; each second one lies opposite to the one before.")
    stability: bool = Field(
        False, description="Also at half and twice eps, with half the steps, and from other starts: 4 times as much."
    )

    def __call__(self, subject: Subject) -> Measured:
        """Table `psi`: a row an image x access. Table `stability`: a row a setting, masked."""
        seen = subject.test.first(self.images)
        answers = logits(subject, seen)
        # Of these images, not of held-out ones: weights from elsewhere may have learned those by heart.
        temperature = calibrated(answers, seen.labels)
        found = {"masked": self._found(subject, seen, "masked", temperature.value)}
        if subject.pruned is not None:
            unmoved = subject.pruned.keep == 1 and bool(seen.mask.all())
            found["free"] = found["masked"] if unmoved else self._found(subject, seen, "free", temperature.value)
        right = answers.argmax(1) == seen.labels
        summary: dict[str, Any] = {
            "n": len(seen), "norm": subject.threat.norm, "eps": subject.threat.headline,
            "clean": rate(right.cpu().numpy()),
            "temperature": {"value": temperature.value, "inside": temperature.inside, "n": len(seen)},
            "masked": _summary(found["masked"]), "free": _summary(found["free"]) if "free" in found else None,
        }  # fmt: skip
        columns = ["image", "access", "kl", "psi", "gap", "stands", "robust"]
        rows = [table.assign(access=where)[columns] for where, table in found.items()]
        tables = {"psi": pandas.concat(rows, ignore_index=True)}
        if self.stability:
            settings = {"as it is": AS_IT_IS, **OTHERS}
            others = [self._found(subject, seen, "masked", temperature.value, one) for one in OTHERS.values()]
            tables["stability"] = _stability(settings, [found["masked"], *others])
        return Measured(summary, tables)

    def _found(
        self, subject: Subject, seen: Seen, where: Where, temperature: float, setting: Setting = AS_IT_IS
    ) -> pandas.DataFrame:
        tables = [self._part(subject, part, where, temperature, setting) for part in parts(seen)]
        return pandas.concat(tables, ignore_index=True)

    def _part(
        self, subject: Subject, seen: Seen, where: Where, temperature: float, setting: Setting
    ) -> pandas.DataFrame:
        """A row an image: image, kl, psi, gap, stands, robust, and the passes of both searches."""
        model, mask = access(subject, seen, where)
        ball, draws = subject.threat.ball().scaled(setting.eps), subject.draws(seen, "psi", setting.seed)
        spent, compared = Budget(len(seen)), Budget(len(seen))
        divergence = Divergence.of(Counted(model, spent), seen.images, temperature)
        steps = max(round(setting.steps * self.steps), 1)
        worst = farthest(
            divergence, seen.images, ball=ball, mask=mask, steps=steps, restarts=self.restarts, draws=draws.branch(0)
        )
        attack = PGD(steps=round(setting.steps * COMPARED))
        points = attack(
            Counted(model, compared), seen.images, seen.labels, ball=ball, mask=mask, draws=draws.branch(1)
        )  # fmt: skip
        with torch.no_grad():
            robust = margin(model(points), seen.labels) <= 0
        first, second = divergence.clean.exp().topk(2).values.unbind(1)
        kl, gap = worst.margins.double().clamp(min=0).cpu().numpy(), (first - second).cpu().numpy()
        return pandas.DataFrame({
            "image": seen.ids, "kl": kl, "psi": _reciprocal(kl), "gap": gap, "stands": stands(kl, gap),
            "robust": robust.cpu().numpy(), "passes": (spent.forward + spent.backward).numpy(),
            "attack_passes": (compared.forward + compared.backward).numpy(),
        })  # fmt: skip


def stands(kl: NDArray[np.float64], gap: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether no distribution within this divergence has another likeliest class, as far as Pinsker's inequality tells.

    gap: the clean one's two largest probabilities, their difference. A probability moves by at most the total
    variation, which is at most sqrt(KL / 2); a difference of two, by twice that. Of the divergence that a search found
    it says only what holds if there is none larger.
    """
    return gap > np.sqrt(2 * kl)


def _summary(table: pandas.DataFrame) -> dict[str, Any]:
    return {
        **_central(table), "mean_psi": finite(table["psi"].mean()), "infinite": int(np.isinf(table["psi"]).sum()),
        "stands": rate(table["stands"].to_numpy()), f"robust_pgd{COMPARED}": rate(table["robust"].to_numpy()),
        "passes": float(table["passes"].mean()), f"passes_pgd{COMPARED}": float(table["attack_passes"].mean()),
    }  # fmt: skip


def _central(table: pandas.DataFrame) -> dict[str, Any]:
    mean = float(table["kl"].mean())
    return {
        "median_psi": finite(table["psi"].median()), "mean_kl": mean,
        "one_over_mean_kl": finite(float(_reciprocal(np.array(mean)))),
    }  # fmt: skip


def _stability(settings: dict[str, Setting], tables: list[pandas.DataFrame]) -> pandas.DataFrame:
    """rank_correlation: Spearman's, of the images' divergences with those of the first setting; robust: by PGD."""
    base = tables[0]["kl"].rank()
    return pandas.DataFrame([
        {"setting": name, "eps": one.eps, "steps": one.steps, "seed": one.seed, **_central(table),
         "rank_correlation": table["kl"].rank().corr(base), "robust": float(table["robust"].mean()), "n": len(table)}
        for (name, one), table in zip(settings.items(), tables)
    ])  # fmt: skip


def _reciprocal(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Infinity for 0."""
    return np.divide(1.0, values, out=np.full_like(values, np.inf), where=values > 0)
