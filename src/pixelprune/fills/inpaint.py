"""Inpainting: the dropped pixels are continued from the border of the kept ones.

Source: Telea, "An image inpainting technique based on the fast marching method", Journal of Graphics Tools 9(1), 2004;
OpenCV's implementation, on 8-bit pixels, exact to 2 levels even on a flat picture. At some places it also reads what
stands in the gap (seen with 5.0.0), so the gap is first given the mean color of the kept pixels. It has no gradient:
backward treats the filled pixels as constant (a surrogate for the backward pass only, BPDA: Athalye et al.,
arXiv:1802.00420), so gradients reach kept pixels alone.
"""

from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pixelprune import compat
from pixelprune.fills.fill import FillOptions


class Inpaint(FillOptions):
    name: Literal["inpaint"]
    radius: float = Field(3.0, ge=1, le=50, description="How far around a pixel its colors are gathered, in pixels.")
    reads: ClassVar[Literal["nothing", "kept"]] = "kept"
    differentiable: ClassVar[bool] = False

    def behind(self, kept: Tensor, mask: Tensor) -> Tensor:
        """Multiples of 1/255; 0.5 where no pixel of an image is kept. Detached from the images."""
        cv2 = compat.cv2()
        colors = kept.detach().sum((2, 3), keepdim=True) / mask.sum((2, 3), keepdim=True).clamp(min=1)
        closed = torch.where(mask, kept.detach(), colors).permute(0, 2, 3, 1).cpu()
        pixels = (closed * 255).round().clamp(0, 255).to(torch.uint8).numpy()
        dropped = (~mask[:, 0]).cpu().numpy().astype(np.uint8)
        filled = np.full(pixels.shape, 0.5, np.float32)
        for target, image, gap in zip(filled, pixels, dropped, strict=True):
            if not gap.all():
                result = cv2.inpaint(image, gap, self.radius, cv2.INPAINT_TELEA)
                target[:] = result.reshape(target.shape).astype(np.float32) / 255
        return torch.from_numpy(filled).permute(0, 3, 1, 2).to(kept)
