"""One line to a trained model: `load_model("foreground/adversarial/0", study="studies/gtsrb")`."""

import difflib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pixelprune import pruned, runtime, selecting
from pixelprune.errors import ArtifactError
from pixelprune.pruning import PrunedModel


def load_model(
    run: str,
    study: str | Path = ".",
    device: str | torch.device | None = None,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """The whole pipeline of a finished run in eval mode: images float32 (N, 3, H, W) in [0, 1] -> logits (N, K).

    run: "STRATEGY/TRAINING/SEED". study: the folder with its params.yaml. It prunes each image with a mask computed
    from that image and normalizes inside. Raises ArtifactError for a run that is not there, with the nearest name, and
    for an oracle strategy, whose masks come from annotation and cannot be computed from an image.
    generator: of the draws of a strategy that draws its mask anew each time; one seeded by 0 where left out.
    """
    folder = Path(study)
    if not (folder / "models" / run / "card.json").is_file():
        known = sorted("/".join(path.parts[-4:-1]) for path in (folder / "models").glob("*/*/*/card.json"))
        near = difflib.get_close_matches(run, known, n=3)
        hint = f"Near: {', '.join(near)}." if near else f"There is: {', '.join(known) or 'none'}."
        raise ArtifactError(f"{folder / 'models' / run}: no such run. {hint} Run `dvc repro`, or `dvc pull`.")
    target = runtime.device() if device is None else torch.device(device)
    network = selecting.load_network(folder / "models" / run).to(target)
    masks = folder / "data/pruned" / run.split("/")[0]
    strategy, rank = pruned.load(masks), selecting.load(masks).rank()
    if strategy.behaviour == "random" and generator is None:
        generator = torch.Generator().manual_seed(0)
    if rank is None:
        raise ArtifactError(
            f"{run}: its masks come from annotation. Use load_model with a strategy that has a segmenter."
        )
    return Pipeline(network, PrunedModel(network, rank, strategy.keep, strategy.fill), generator).eval()


class Pipeline(nn.Module):
    """A pruned model as a module: what attack libraries, `state_dict` and `to` expect."""

    def __init__(self, network: nn.Module, pruned_model: PrunedModel, generator: torch.Generator | None = None) -> None:
        """generator: where the pipeline draws its masks anew at each call."""
        super().__init__()
        self.network = network
        self.pruned = pruned_model
        self.generator = generator

    def mask(self, images: Tensor, ids: NDArray[np.int64] | None = None) -> Tensor:
        """The pixels that it keeps of each image, bool (N, 1, H, W). Raises ValueError for another shape.

        ids: int64 (N,), as in data/raw: maps and segmenters that draw (smoothgrad, grabcut) draw by them, and only
        with them the masks are those of the study. Left out, an image's place in the call is its id.
        """
        return self.pruned.mask(images, self._drawn(images, ids))

    def forward(self, images: Tensor, ids: NDArray[np.int64] | None = None) -> Tensor:
        return self.pruned(images, self._drawn(images, ids))

    def _drawn(self, images: Tensor, ids: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
        if images.dim() != 4 or images.shape[1] != 3:  # one channel would be taken for three equal ones
            raise ValueError(f"images: found shape {tuple(images.shape)}, expected (N, 3, H, W)")
        if ids is not None or self.generator is None:
            return ids
        return torch.randint(2**62, (len(images),), generator=self.generator).numpy()
