"""Networks on disk: weights as safetensors, everything else in the card beside them."""

from pathlib import Path

from torch import nn

from pixelprune import artifacts
from pixelprune.errors import ArtifactError


def save(path: Path, network: nn.Module) -> None:
    artifacts.save_tensors(path, network.state_dict())


def load_into(path: Path, network: nn.Module) -> nn.Module:
    """The network with the weights of the file, in eval mode. Raises ArtifactError where the two do not fit."""
    try:
        network.load_state_dict(artifacts.load_tensors(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ArtifactError(f"{path}: not the weights of this network ({reason}). Run `dvc repro`.") from None
    return network.eval()
