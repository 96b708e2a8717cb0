"""segment: find the foreground of every image.

python stages/segment.py SEGMENTER
  reads   data/raw/
  writes  data/segments/SEGMENTER/{train,test}.npy        float16 (N, H, W), foreground probability
          data/segments/SEGMENTER/surrogate.safetensors   a network that segments alike; oracles have none
          data/segments/SEGMENTER/card.json               options, overlap with the annotation where there is one
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelprune import artifacts, cli, closure, params, runtime, selecting, stage, surrogate
from pixelprune.datasets import split
from pixelprune.datasets.split import Split
from pixelprune.errors import DataError
from pixelprune.models import store
from pixelprune.segmenters.catalog import Segmenter
from pixelprune.segmenters.overlap import iou

CHUNK = 250


def main(key: str) -> None:
    runtime.prepare()
    segmenter = params.load(f"segmenters.{key}", Segmenter)
    folder = Path("data/segments", key)
    with stage.running(f"segment@{key}", folder):
        data = {name: split.load(Path("data/raw"), name) for name in ("train", "test")}
        if segmenter.oracle and data["train"].masks is None:
            raise DataError(f"segmenters.{key}: the data set has no annotated masks for {segmenter.name} to use")
        found = {name: _segment(segmenter, part, f"segment {key}, {name}") for name, part in data.items()}
        for name, probability in found.items():
            artifacts.save_array(folder / f"{name}.npy", probability)
        overlap = {name: _mean(iou(found[name], part.masks)) for name, part in data.items() if part.masks is not None}
        # The digest reaches every stage that segments other images: a change of code must not leave them stale.
        source = closure.digest(closure.closure(selecting.PACKAGE / "segmenters" / f"{segmenter.name}.py"))
        card = {"segmenter": segmenter.model_dump(mode="json"), "oracle": segmenter.oracle, "iou": overlap}
        if not segmenter.oracle:
            network = surrogate.learn(data["train"].images, found["train"], runtime.device())
            store.save(folder / "surrogate.safetensors", network)
            alike = surrogate.segment(network, data["test"].images, runtime.device())
            card |= {"surrogate_iou": _mean(iou(alike, found["test"] > 0.5))}
        artifacts.save_json(folder / "card.json", card | {"source": source})
    print(
        f"segment {key}: {segmenter.name}, mean IoU with the annotation {overlap or 'not known'}, "
        f"of its surrogate with it {card.get('surrogate_iou', 'not needed')}"
    )


def _segment(segmenter: Segmenter, data: Split, title: str) -> NDArray[np.float16]:
    parts = []
    for start in cli.progress(range(0, len(data.ids), CHUNK), title):
        own = slice(start, start + CHUNK)
        masks = data.masks[own] if segmenter.oracle and data.masks is not None else None
        parts.append(segmenter(data.images[own], data.ids[own], masks).astype(np.float16))
    return np.concatenate(parts)


def _mean(values: NDArray[np.float64]) -> float:
    return round(float(values.mean()), 4)


if __name__ == "__main__":
    cli.run(main, __doc__)
