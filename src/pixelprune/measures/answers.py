"""What a run says to changed images, and how measures state shares. The mask is recomputed from the changed image."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelprune import sampling
from pixelprune.attacks.narrowing import narrow
from pixelprune.corruptions.predictions import Classify
from pixelprune.evaluation.bootstrap import mean_interval
from pixelprune.evaluation.intervals import Rate
from pixelprune.maps.class_gradient import chunks
from pixelprune.measures.measure import Seen, Subject


def parts(images: Tensor) -> list[Tensor]:
    """Positions of the images in runs that pass a model at once, int64 on their device."""
    everybody = torch.arange(len(images), device=images.device)
    return [everybody[part] for part in chunks(images)]


def classify(subject: Subject, seen: Seen) -> Classify:
    """(images, ids, positions in `seen`) -> logits of the whole pipeline; an oracle keeps the masks of `seen`."""
    whole = subject.pruned
    if whole is not None:
        return lambda images, ids, index: whole(images, ids)
    model = subject.model(seen)
    return lambda images, ids, index: narrow(model, index)(images)


def logits(subject: Subject, seen: Seen, images: Tensor) -> Tensor:
    """float32 (N, K), of images float32 (N, 3, H, W) in [0, 1] that stand in the place of those seen."""
    answer = classify(subject, seen)
    with torch.no_grad():
        return torch.cat([answer(images[index], seen.ids[index.cpu().numpy()], index) for index in parts(images)])


def rate(hits: NDArray[np.bool_] | Tensor) -> dict[str, float | int]:
    """The share of images with its exact interval (Clopper and Pearson, 95 %) and n."""
    found = Rate(int(hits.sum()), len(hits))
    low, high = found.interval
    return {"share": found.share, "low": low, "high": high, "n": found.n}


def mean(values: NDArray[Any], seen: Seen, *words: int | str) -> dict[str, float | int]:
    """The mean of a value an image, (N,), with its bootstrap interval over images, 95 %, and n."""
    found = mean_interval(values, seen.ids, sampling.numpy_generator("measures", *words))
    return {"share": found.value, "low": found.low, "high": found.high, "n": found.n}


def compared(found: Tensor, clean: Tensor, labels: Tensor) -> dict[str, dict[str, float | int]]:
    """Of predictions int64 (N,): the share that is right, and the share that differs from the clean prediction."""
    return {"accuracy": rate(found == labels), "flips": rate(found != clean)}


def rows(seen: Seen, predictions: Mapping[tuple[Any, ...], Tensor], columns: list[str]) -> pandas.DataFrame:
    """One row an image x key: image, label, the parts of the key as `columns`, pred. predictions: int64 (N,)."""
    tables = [
        pandas.DataFrame({
            "image": seen.ids, "label": seen.labels.cpu().numpy(), **dict(zip(columns, key, strict=True)),
            "pred": found.cpu().numpy(),
        })
        for key, found in predictions.items()
    ]  # fmt: skip
    return pandas.concat(tables, ignore_index=True).astype({"label": "int16", "pred": "int16"})
