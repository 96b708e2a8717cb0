"""What a classifier says to corrupted images, one corruption and severity after the other."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas
import torch
from numpy.typing import NDArray
from torch import Tensor

Corrupt = Callable[..., Tensor]
Classify = Callable[[Tensor, Any, Tensor], Tensor]
"""(images, ids, positions in the batch) -> logits: the whole pipeline, mask included."""
KINDS = {"image": "int64", "label": "int16", "corruption": "str", "severity": "int8", "pred": "int16"}


def table(
    images: Tensor, labels: Tensor, ids: NDArray[Any], parts: Iterable[Tensor], classify: Classify,
    corruptions: Mapping[str, Corrupt], severities: Iterable[int], seed: int,
) -> pandas.DataFrame:  # fmt: skip
    """One row an image x corruption x severity: image, label, corruption, severity, pred.

    images: float32 (N, C, H, W) in [0, 1], labels and ids int64 (N,). parts: positions to corrupt and classify at once.
    """
    parts, severities = tuple(parts), tuple(severities)
    tables = []
    for name, corruption in corruptions.items():
        for severity in severities:
            predictions = []
            with torch.no_grad():
                for index in parts:
                    own = ids[index.cpu().numpy()]
                    changed = corruption(images[index], severity, own, seed)
                    predictions.append(classify(changed, own, index).argmax(1).cpu())
            tables.append(pandas.DataFrame({
                "image": ids, "label": labels.cpu().numpy(), "corruption": name, "severity": severity,
                "pred": torch.cat(predictions).numpy(),
            }))  # fmt: skip
    empty = pandas.DataFrame(columns=list(KINDS))
    return (pandas.concat(tables, ignore_index=True) if tables else empty).astype(KINDS)
