"""Accuracy on corrupted images. The map sees the corrupted image, as it would in use; an oracle keeps its mask."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas

from pixelprune.corruptions import predictions
from pixelprune.corruptions.predictions import Classify, Corrupt
from pixelprune.harness.ladder import Batch, chunks


def measure(
    batch: Batch, classify: Classify, corruptions: Mapping[str, Corrupt], severities: Iterable[int], seed: int
) -> pandas.DataFrame:
    """One row an image x corruption x severity: image, label, group, corruption, severity, pred."""
    table = predictions.table(
        batch.images, batch.labels, batch.ids, chunks(batch.images), classify, corruptions, severities, seed
    )
    table.insert(2, "group", np.tile(batch.groups, len(table) // len(batch)))
    return table
