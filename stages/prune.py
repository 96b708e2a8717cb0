"""prune: choose the pixels that each image keeps, and measure how much of the class their outline gives away.

python stages/prune.py STRATEGY
  reads   data/raw/, data/maps/MAP/
  writes  data/pruned/STRATEGY/{train,test}.npy    uint8 (N, ceil(H W / 8)), one bit a pixel, 1 = kept
          data/pruned/STRATEGY/card.json           map, keep, fill, shares kept
          data/pruned/STRATEGY/silhouette.json     accuracy of a network that sees nothing but the mask
          data/pruned/STRATEGY/selector.*          what ranks the pixels of other images
          data/pruned/STRATEGY/picture.npy         uint8 (N, H, W), the map of the test images, for the eye
"""

from pathlib import Path

from pixelprune import artifacts, cli, params, pruned, pruning, runtime, selecting, stage
from pixelprune.datasets import split
from pixelprune.models.catalog import Network
from pixelprune.pruning import Strategy
from pixelprune.training import silhouette
from pixelprune.training.catalog import Learning


def main(key: str) -> None:
    runtime.prepare()
    strategy = params.load(f"strategies.{key}", Strategy)
    network, learning = params.load("network", Network), params.load("silhouette", Learning)
    source, folder = Path("data/maps", strategy.map), Path("data/pruned", key)
    with stage.running(f"prune@{key}", folder):
        data = {name: split.load(Path("data/raw"), name) for name in ("train", "test")}
        masks = {name: pruning.keep_mask(pruned.load_map(source / f"{name}.npy"), strategy.keep) for name in data}
        for name, mask in masks.items():
            artifacts.save_array(folder / f"{name}.npy", pruning.pack(mask))
        artifacts.save_array(folder / "picture.npy", pruned.picture(pruned.load_map(source / "test.npy")))
        selector = selecting.load(source)
        selector.save(folder)
        height, width = masks["test"].shape[1:]
        artifacts.save_json(folder / "card.json", {
            "map": strategy.map, "map_name": selector.map.name, "map_options": selector.map.model_dump(mode="json"),
            "keep": strategy.keep, "height": height, "width": width,
            "fill": strategy.fill.fitted(data["train"].images).model_dump(mode="json"),
            "behaviour": selector.behaviour, "oracle": selector.oracle,
            "shares": {name: round(float(mask.mean()), 6) for name, mask in masks.items()},
        })  # fmt: skip
        leak = silhouette.measure(data, masks, network, learning, runtime.device())
        artifacts.save_json(folder / "silhouette.json", leak)
    print(
        f"prune {key}: keeps {masks['test'].mean():.1%} of {height * width} pixels; "
        f"the mask alone gives {leak['right']} of {leak['images']} test images their class"
    )


if __name__ == "__main__":
    cli.run(main, __doc__)
