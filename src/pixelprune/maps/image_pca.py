"""How much of each pixel the leading principal components of the training images rebuild, for every image by itself.

    u = V_r V_r^T (x - mu);   energy: sum over channels of |u_i|;   residual: - sum over channels of |x - mu - u|_i

Energy keeps the pixels that the components draw; residual keeps those that they draw best (least error first).
Linear, then absolute values: gradients pass.
"""

from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from pixelprune.maps.components import principal_components
from pixelprune.maps.map import Ids, MapOptions, Source


class ImagePCA(MapOptions):
    name: Literal["image_pca"]
    components: int = Field(32, ge=1, le=1024, description="Leading components r; at most as many as there are.")
    residual: bool = Field(False, description="Keep the best rebuilt pixels; else those of the largest energy.")
    behaviour: ClassVar[Literal["static", "dynamic"]] = "dynamic"

    def fit(self, images: NDArray[np.uint8]) -> dict[str, Tensor]:
        """mean: float32 (C, H, W); basis: float32 (r, C, H, W), orthonormal."""
        mean, _, vectors = principal_components(images, self.components)
        height, width, channels = images.shape[1:]
        grid = np.concatenate([mean[None], vectors.T]).reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
        stored = torch.from_numpy(np.ascontiguousarray(grid)).float()
        return {"mean": stored[0], "basis": stored[1:].clone()}

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """Energy >= 0, or residual <= 0, in units of the pixel range."""
        shape = tuple(images.shape[1:])
        basis = source.learned("basis", shape).to(images.device).flatten(1)
        centered = (images - source.learned("mean", shape).to(images.device)).flatten(1)
        rebuilt = (centered @ basis.T) @ basis
        values = -(centered - rebuilt).abs() if self.residual else rebuilt.abs()
        return values.reshape(images.shape).sum(1)
