"""Grad-CAM: the last feature map of a network, each channel weighted by what it does to the predicted class.

    a = relu(sum over q of alpha_q A_q),   alpha_q = mean over places of d z_t / d A_q

with t the predicted class; bilinearly enlarged to the image.

Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
ICCV 2017, section 3, equations 1 and 2, arXiv:1610.02391.
"""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pixelprune.errors import ArtifactError
from pixelprune.maps.class_gradient import chunks
from pixelprune.maps.map import Ids, MapOptions, Source, Weights, per_image_scale


class GradCAM(MapOptions):
    name: Literal["grad_cam"]
    reads: Weights
    depth: int = Field(
        0, ge=0, description="Which feature map, counted from the last one of more than one place: 0, 1, ... backwards."
    )
    needs: ClassVar[Literal["nothing", "foreground", "model"]] = "model"
    behaviour: ClassVar[Literal["static", "dynamic"]] = "dynamic"

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """In [0, 1], relative to the largest of the image; 0 everywhere where nothing speaks for the class.

        Raises ArtifactError where the model is no network of torch, or has no such feature map.
        """
        model = source.classifier()
        if not isinstance(model, nn.Module):
            raise ArtifactError("this map explains layers: `reads` must name a run whose model is a torch network.")
        maps = [self._of(model, images[part]) for part in chunks(images)]
        return torch.cat([images.new_empty(0, *images.shape[2:]), *maps])

    def _of(self, network: nn.Module, images: Tensor) -> Tensor:
        again = images.requires_grad and torch.is_grad_enabled()
        with torch.enable_grad():
            logits, found = feature_maps(network, images if again else images.detach().requires_grad_())
            if self.depth >= len(found):
                raise ArtifactError(f"the network has {len(found)} feature maps, depth must be below that.")
            features = found[-1 - self.depth]
            own = logits.gather(1, logits.argmax(1, keepdim=True))
            (gradient,) = torch.autograd.grad(own.sum(), features, create_graph=again)
            alpha = gradient.mean((2, 3), keepdim=True)
            small = F.relu((alpha * features).sum(1, keepdim=True))
            large = F.interpolate(small, size=images.shape[2:], mode="bilinear", align_corners=False)
        return per_image_scale((large if again else large.detach())[:, 0])


def feature_maps(network: nn.Module, images: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The logits (N, K), and what modules put out on the way that has more than one place, (N, C, h, w), in order.

    What has passed a layer that only hands it on is listed once; copies of places (VGG pools 1 x 1 to 7 x 7) and what
    holds its channels elsewhere (of ConvNeXt) are no such maps.
    """
    found: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[object, ...], out: object) -> None:
        if isinstance(out, Tensor) and _in_places(out, images) and not _enlarged(out, inputs):
            found[:] = [each for each in found if each is not out]
            found.append(out)

    hooks = [module.register_forward_hook(keep) for module in network.modules()]
    try:
        return network(images), found
    finally:
        for hook in hooks:
            hook.remove()


def _in_places(out: Tensor, images: Tensor) -> bool:
    """Whether it has more than one place, and as many rows to a column as the images have, give or take one."""
    if out.dim() != 4 or out.shape[2] * out.shape[3] <= 1:
        return False
    (rows, columns), (height, width) = out.shape[2:], images.shape[2:]
    return rows <= height and columns <= width and abs(rows * width - columns * height) <= max(height, width)


def _enlarged(out: Tensor, inputs: tuple[object, ...]) -> bool:
    first = inputs[0] if inputs else None
    return isinstance(first, Tensor) and first.dim() == 4 and out.shape[2:].numel() > first.shape[2:].numel()
