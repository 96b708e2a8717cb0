"""segment: find the foreground of every image.

python stages/segment.py SEGMENTER
  reads   data/raw/
  writes  data/segments/SEGMENTER/{train,test}.npy    float16 (N, H, W), foreground probability
          data/segments/SEGMENTER/card.json           options, overlap with the annotation where there is one
"""

from pathlib import Path

import numpy as np

from pixelprune import artifacts, cli, closure, params, selecting
from pixelprune.datasets import split
from pixelprune.errors import DataError
from pixelprune.segmenters.catalog import Segmenter
from pixelprune.segmenters.overlap import iou

CHUNK = 250


def main(key: str) -> None:
    segmenter = params.load(f"segmenters.{key}", Segmenter)
    folder = Path("data/segments", key)
    overlap = {}
    with cli.timed(f"segment@{key}"):
        for name in ("train", "test"):
            data = split.load(Path("data/raw"), name)
            if segmenter.oracle and data.masks is None:
                raise DataError(f"segmenters.{key}: the data set has no annotated masks for {segmenter.name} to use")
            parts = []
            for start in cli.progress(range(0, len(data.ids), CHUNK), f"segment {key}, {name}"):
                own = slice(start, start + CHUNK)
                masks = None if data.masks is None or not segmenter.oracle else data.masks[own]
                parts.append(segmenter(data.images[own], data.ids[own], masks).astype(np.float16))
            probability = np.concatenate(parts)
            if data.masks is not None:
                overlap[name] = round(float(iou(probability, data.masks).mean()), 4)
            artifacts.save_array(folder / f"{name}.npy", probability)
        # The digest reaches every stage that segments other images: a change of code must not leave them stale.
        source = closure.digest(closure.closure(selecting.PACKAGE / "segmenters" / f"{segmenter.name}.py"))
        card = {"segmenter": segmenter.model_dump(mode="json"), "oracle": segmenter.oracle, "iou": overlap}
        artifacts.save_json(folder / "card.json", card | {"source": source})
    print(f"segment {key}: {segmenter.name}, mean IoU with the annotation {overlap or 'not known'}")


if __name__ == "__main__":
    cli.run(main, __doc__)
