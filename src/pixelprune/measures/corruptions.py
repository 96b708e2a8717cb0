"""Accuracy under all 19 corruptions at five severities. The image is corrupted first, then the mask is computed.

Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
ICLR 2019, arXiv:1903.12261. Ours are "-C-like": made anew, see the corruptions' own files. The mean corruption error
against another run, e.g. the unpruned one, is evaluation/mce.py on the two tables.
"""

from typing import Annotated, Any, Literal, get_args

import numpy as np
import pandas
from pydantic import Field
from torch import Tensor

from pixelprune.corruptions import predictions
from pixelprune.corruptions.catalog import CORRUPTIONS, CorruptionName
from pixelprune.corruptions.extras import EXTRAS
from pixelprune.measures import answers
from pixelprune.measures.measure import Measured, MeasureOptions, Seen, Subject
from pixelprune.options import Listed

Severity = Annotated[int, Field(ge=1, le=5)]


class Corruptions(MeasureOptions):
    name: Literal["corruptions"]
    corruptions: Annotated[tuple[CorruptionName, ...], Listed] = Field(
        get_args(CorruptionName), min_length=1, description="Which ones; all 19 where left out."
    )
    severities: Annotated[tuple[Severity, ...], Listed] = Field(
        (1, 2, 3, 4, 5), min_length=1, description="How strong, from 1 to 5."
    )

    def __call__(self, subject: Subject) -> Measured:
        """Accuracy of each corruption, and its means. Table: rows of every image, clean ones as severity 0 of none."""
        seen = subject.test.first(self.images)
        answer, parts = answers.classify(subject, seen), answers.parts(seen.images)
        tables = []
        for names, severities in (({"none": _as_it_is}, (0,)), (self._chosen(), self.severities)):
            tables.append(predictions.table(
                seen.images, seen.labels, seen.ids, parts, answer, names, severities, subject.seed
            ))  # fmt: skip
            subject.tell(f"{len(names)} corruptions at {len(severities)} severities")
        table = pandas.concat(tables, ignore_index=True)
        return Measured(_summary(table, seen, subject.seed), {"rows": table})

    def _chosen(self) -> dict[str, predictions.Corrupt]:
        return {name: CORRUPTIONS[name] for name in dict.fromkeys(self.corruptions)}


def _summary(table: pandas.DataFrame, seen: Seen, seed: int) -> dict[str, Any]:
    """Means over severities, and over corruptions, first within an image, so that n is the number of images."""
    right = (table["pred"] == table["label"]).to_numpy().reshape(-1, len(seen))
    cells = table[["corruption", "severity"]].iloc[:: len(seen)].to_numpy().tolist()
    names = list(dict.fromkeys(name for name, severity in cells if severity))

    def of(*chosen: str) -> dict[str, float | int]:
        inside = np.array([name in chosen for name, _ in cells])
        return answers.mean(right[inside].mean(0), seen, seed, "corruptions", *chosen)

    benchmark = [name for name in names if name not in EXTRAS]
    return {
        "clean": answers.rate(right[0]),
        "mean": of(*names) | {"corruptions": len(names)},
        "mean without extras": of(*benchmark) | {"corruptions": len(benchmark)} if benchmark else None,
        "by": {name: of(name) for name in names},
        "severities": {
            name: {str(level): answers.rate(hits) for (own, level), hits in zip(cells, right) if own == name}
            for name in names
        },
    }


def _as_it_is(images: Tensor, *_: object) -> Tensor:
    return images
