"""importance: rank the pixels of every image.

python stages/importance.py MAP
  reads   data/raw/ and the artifact that the map names
  writes  data/maps/MAP/{train,test}.npy    float16 (N, H, W), larger = keep first
          data/maps/MAP/selector.*          what ranks the pixels of other images
          data/maps/MAP/card.json           behaviour, oracle, whether the map has a region of its own
"""

from pathlib import Path

import numpy as np
import torch

from pixelprune import artifacts, cli, params, runtime, selecting, stage
from pixelprune.datasets import split
from pixelprune.maps.catalog import Map

CHUNK = 250


def main(key: str) -> None:
    runtime.prepare()
    device = runtime.device()
    entry = params.load(f"maps.{key}", Map)
    folder = Path("data/maps", key)
    with stage.running(f"importance@{key}", folder):
        selector = selecting.fit(entry, split.load(Path("data/raw"), "train"))
        for name in ("train", "test"):
            data = split.load(Path("data/raw"), name)
            rank = selecting.rank_split(selector, data, name)
            values = np.empty(data.images.shape[:3], np.float16)
            for start in cli.progress(range(0, len(data.ids), CHUNK), f"importance {key}, {name}"):
                own = slice(start, start + CHUNK)
                images = torch.tensor(data.images[own]).permute(0, 3, 1, 2).to(device).float() / 255
                values[own] = rank(images, data.ids[own]).half().cpu().numpy()
            artifacts.save_array(folder / f"{name}.npy", values)
        selector.save(folder)
        card = {"name": entry.name, "options": entry.model_dump(mode="json"), "has_region": entry.has_region}
        card |= {"behaviour": selector.behaviour, "oracle": selector.oracle}
        artifacts.save_json(folder / "card.json", card)
    print(f"importance {key}: {entry.name}, {selector.behaviour}{', oracle' if selector.oracle else ''}")


if __name__ == "__main__":
    cli.run(main, __doc__)
