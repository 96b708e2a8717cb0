"""Accuracy on corrupted images. The map sees the corrupted image, as it would in use; an oracle keeps its mask."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas

from pixelprune.corruptions import predictions
from pixelprune.corruptions.predictions import Classify, Corrupt
from pixelprune.harness.ladder import Batch, chunks


def measure(
    batch: Batch, classify: Classify, corruptions: Mapping[str, Corrupt], severities: Iterable[int], seed: int,
    *, group: int = 1,
) -> pandas.DataFrame:  # fmt: skip
    """One row an image x corruption x severity: image, label, group, corruption, severity, pred.

    group: so many images, one behind the other, are classified together.
    """
    parts = chunks(batch.images, group)
    table = predictions.table(batch.images, batch.labels, batch.ids, parts, classify, corruptions, severities, seed)
    table.insert(2, "group", np.tile(batch.groups, len(table) // len(batch)))
    return table
