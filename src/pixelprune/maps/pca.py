"""The pixels that carry the leading principal components of the training images: one map for all images.

    I_i = sum over channels and over j <= r of lambda_j v_ij^2

with variances lambda_j and unit vectors v_j of the pixel covariance: the variance of pixel i that r components explain.
With all components it is the plain variance of the pixel, the map `variance`.

Source: explained-variance score after Jolliffe, "Principal Component Analysis", 2nd edition, section 6.3 (choosing
variables by the components they carry), applied to pixels.
"""

from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from pixelprune.maps.components import principal_components
from pixelprune.maps.map import Ids, MapOptions, Source


class PCA(MapOptions):
    name: Literal["pca"]
    components: int = Field(32, ge=1, le=1024, description="Leading components r; at most as many as there are.")
    behaviour: ClassVar[Literal["static", "dynamic"]] = "static"

    def fit(self, images: NDArray[np.uint8]) -> dict[str, Tensor]:
        """score: float32 (H, W)."""
        _, values, vectors = principal_components(images, self.components)
        score = (vectors**2 @ values).reshape(images.shape[1:]).sum(2)
        return {"score": torch.from_numpy(score).float()}

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """Explained variance in units of the pixel range squared, the same for every image."""
        score = source.learned("score", tuple(images.shape[2:]))
        return score.to(images.device).repeat(len(images), 1, 1)
