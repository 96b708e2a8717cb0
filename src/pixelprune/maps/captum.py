"""The long tail of published maps: methods of captum, behind our signature.

    a(x) = sum over channels of |attribution of the logit of the predicted class|

Source: Kokhlikyan et al., "Captum: A unified and generic model interpretability library for PyTorch",
arXiv:2009.07896. The package is not installed with this one: `pip install captum` (and scikit-learn for kernel_shap
and lime). What it returns is piecewise or detached, so no gradient passes: an attack cannot climb through this map.
Where a method is a member of its own here (gradients, SmoothGrad, integrated gradients, Grad-CAM), prefer that one.
"""

from typing import Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from pixelprune import global_state
from pixelprune.draws import Draws
from pixelprune.errors import ArtifactError
from pixelprune.maps.class_gradient import predicted
from pixelprune.maps.map import Ids, MapOptions, Source, Weights, per_image_scale


class Call(NamedTuple):
    """A class of captum.attr, and which of our options its `attribute` takes."""

    kind: str
    baseline: bool = False
    samples: bool = False
    cells: bool = False


METHODS = {
    "deconvolution": Call("Deconvolution"),
    "deep_lift": Call("DeepLift", baseline=True),
    "feature_ablation": Call("FeatureAblation", baseline=True, cells=True),
    "gradient_shap": Call("GradientShap", baseline=True, samples=True),
    "guided_backprop": Call("GuidedBackprop"),
    "input_x_gradient": Call("InputXGradient"),
    "kernel_shap": Call("KernelShap", baseline=True, samples=True, cells=True),
    "lime": Call("Lime", baseline=True, samples=True, cells=True),
    "shapley_value_sampling": Call("ShapleyValueSampling", baseline=True, samples=True, cells=True),
}


class Captum(MapOptions):
    name: Literal["captum"]
    reads: Weights
    method: Literal[
        "deconvolution", "deep_lift", "feature_ablation", "gradient_shap", "guided_backprop", "input_x_gradient",
        "kernel_shap", "lime", "shapley_value_sampling",
    ] = Field("gradient_shap", description="A method of captum.")  # fmt: skip
    baseline: float = Field(0.0, ge=0, le=1, description="Gray level that stands for no information, where asked for.")
    samples: int = Field(50, ge=1, le=100_000, description="Random samples of an image, where the method draws.")
    cell: int = Field(4, ge=1, description="Side of the squares that perturbing methods take for one feature, pixels.")
    seed: int = Field(0, ge=0, description="Draws the samples, with the image's id.")
    needs: ClassVar[Literal["nothing", "foreground", "model"]] = "model"
    behaviour: ClassVar[Literal["static", "dynamic"]] = "dynamic"

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """In [0, 1], relative to the largest of the image. Image by image: captum's draws are those of a batch.

        Raises ArtifactError where captum is not installed, or the model is no network of torch.
        """
        network = source.classifier()
        if not isinstance(network, nn.Module):
            raise ArtifactError("captum explains layers: `reads` must name a run whose model is a torch network.")
        attribute = _attribution(METHODS[self.method].kind, network)
        seeds = (Draws.of(ids, self.seed, "captum").integers() % 2**31).tolist()
        maps = [images.new_empty(0, *images.shape[2:])]
        for image, seed in zip(images.detach().split(1) if len(images) else (), seeds):
            target = int(predicted(network, image))
            with global_state.seeded(seed, image.device), torch.enable_grad():
                try:
                    found = attribute(image.clone().requires_grad_(), target=target, **self._arguments(image))
                except RuntimeError as error:
                    # DeepLift, for one, refuses networks that use a layer twice.
                    raise ArtifactError(f"captum's {self.method} cannot explain this network: {error}") from None
            maps.append(per_image_scale(found.detach().abs().sum(1)))
        return torch.cat(maps)

    def _arguments(self, image: Tensor) -> dict[str, Any]:
        call, given = METHODS[self.method], dict[str, Any]()
        if call.baseline:
            given["baselines"] = torch.full_like(image, self.baseline)
        if call.samples:
            given["n_samples"] = self.samples
        if call.cells:
            rows, columns = (torch.arange(side, device=image.device) // self.cell for side in image.shape[2:])
            given["feature_mask"] = (rows[:, None] * (int(columns[-1]) + 1) + columns).expand(1, 1, -1, -1)
        return given


def _attribution(kind: str, network: nn.Module) -> Any:
    try:
        from captum import attr

        return getattr(attr, kind)(network).attribute
    except ImportError as error:
        raise ArtifactError(
            f"the map `captum` needs the package {error.name}, which is not installed: pip install captum scikit-learn"
        ) from None
