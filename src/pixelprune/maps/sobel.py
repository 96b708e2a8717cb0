"""Edges: the magnitude of the Sobel gradient of the gray image. An untrained control for gradient maps.

Source: Sobel, Feldman, "A 3x3 isotropic gradient operator for image processing", 1968; gray by ITU-R BT.601 weights.
"""

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from pixelprune.maps.map import Ids, MapOptions, Source

LUMA = (0.299, 0.587, 0.114)


class Sobel(MapOptions):
    name: Literal["sobel"]
    behaviour: ClassVar[Literal["static", "dynamic"]] = "dynamic"

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """In units of the pixel range: a step of height 1 gives 4; below 1e-6 nothing. Borders are repeated outward."""
        gray = (images * images.new_tensor(LUMA)[:, None, None]).sum(1) if images.shape[1] == 3 else images.mean(1)
        wide = F.pad(gray[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
        rows = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
        columns = wide[:, :, :-2] + 2 * wide[:, :, 1:-1] + wide[:, :, 2:]
        across = rows[:, :, 2:] - rows[:, :, :-2]
        down = columns[:, 2:] - columns[:, :-2]
        # The root has no gradient at 0; flat places get none.
        return (across.square() + down.square()).clamp(min=1e-12).sqrt()
