"""What every training shares: the options of the loop, how a member perturbs its images, and its loss."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from pixelprune.attacks.narrowing import Model
from pixelprune.options import Options


class Validated(Options):
    """A way to come by weights: whichever it is, they are measured on the validation images."""

    name: str
    validation_images: int = Field(200, ge=1, description="Validation images that are attacked for the curve.")
    validation_steps: int = Field(5, ge=1, description="PGD steps of that attack.")

    @property
    def trained_eps(self) -> float:
        """The linf radius that the training defends, 0 where it defends none or does not know."""
        return 0.0


class TrainingOptions(Validated):
    """A way to learn weights. Members define `perturb`, and `loss` where it is another.

    perturbs_in: the mode of the network while `perturb` asks it; in train mode BatchNorm counts those batches too.
    """

    perturbs_in: ClassVar[Literal["train", "eval"]] = "train"
    epochs: int = Field(8, ge=1, description="Passes over the training images.")
    batch: int = Field(128, ge=2, description="Images of one step.")
    learning_rate: float = Field(0.2, gt=0, description="Peak of the one-cycle schedule.")
    weight_decay: float = Field(5e-4, ge=0, description="L2 penalty of all weights.")
    shift: int = Field(2, ge=0, description="Random crop: moves an image by up to so many pixels, edges reflected.")
    flip: bool = Field(False, description="Random mirror images. Off where left and right mean something.")
    light: float = Field(0.0, ge=0, lt=1, description="Random contrast and brightness: factors within 1 +- light.")
    select: Literal["clean", "robust"] = Field("clean", description="Accuracy on validation that picks the epoch.")

    def perturb(self, model: Model, images: Tensor, labels: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
        """The images to learn from, float32 (N, C, H, W) in [0, 1]; differs from `images` only under the mask.

        model: images -> logits of the network being trained, pruning included. mask: bool (N, 1, H, W), true = kept.
        """
        raise NotImplementedError

    def loss(self, model: Model, images: Tensor, perturbed: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """What a step lowers, a scalar, and the logits (N, K) of the perturbed images; the network is in train mode."""
        logits = model(perturbed)
        return functional.cross_entropy(logits, labels), logits
