"""Accuracy on corrupted images. The map sees the corrupted image, as it would in use; an oracle keeps its mask."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas
import torch
from torch import Tensor

from pixelprune.harness.ladder import Batch, chunks

Corruption = Callable[..., Tensor]
Classify = Callable[[Tensor, Any, Tensor], Tensor]
"""(images, ids, positions in the batch) -> logits: the whole pipeline, mask included."""


def measure(
    batch: Batch, classify: Classify, corruptions: Mapping[str, Corruption], severities: Iterable[int], seed: int
) -> pandas.DataFrame:
    """One row an image x corruption x severity: image, label, group, corruption, severity, pred."""
    tables = []
    for name, corruption in corruptions.items():
        for severity in severities:
            predictions = []
            with torch.no_grad():
                for index in chunks(batch.images):
                    ids = batch.ids[index.cpu().numpy()]
                    images = corruption(batch.images[index], severity, ids, seed)
                    predictions.append(classify(images, ids, index).argmax(1).cpu())
            tables.append(pandas.DataFrame({
                "image": batch.ids, "label": batch.labels.cpu().numpy(), "group": batch.groups,
                "corruption": name, "severity": severity, "pred": torch.cat(predictions).numpy(),
            }))  # fmt: skip
    kinds = {"label": "int16", "severity": "int8", "pred": "int16", "corruption": "str"}
    empty = pandas.DataFrame(columns=["image", "label", "group", "corruption", "severity", "pred"])
    return (pandas.concat(tables, ignore_index=True) if tables else empty).astype(kinds)
