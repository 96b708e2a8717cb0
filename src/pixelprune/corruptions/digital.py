"""What cameras and web sites do to pixels. Source and severities: corruption.py."""

import numpy as np
import torch
from torch import Tensor

from pixelprune import compat
from pixelprune.corruptions.corruption import Draws, severities


@severities(0.95, 0.9, 0.85, 0.75, 0.65)
def pixelate(images: Tensor, share: float, draws: Draws) -> Tensor:
    """Down to a share of the side with a box filter, and up again with the nearest pixel."""
    rows, columns = (_group_means(side, share).to(images.device) for side in images.shape[-2:])
    # In double precision, so that the order of a sum, which may depend on the batch, does not show.
    return (rows @ images.double() @ columns.T).float()


def _group_means(side: int, share: float) -> Tensor:
    """Float64 (side, side): what each pixel becomes, as weights of all pixels. Rows sum to 1.

    A small pixel is the plain mean of the pixels whose centres it covers, and covers the same ones on the way back.
    """
    small = max(1, int(side * share))
    group = ((torch.arange(side, dtype=torch.float64) + 0.5) * small / side).floor()
    together = (group[:, None] == group[None, :]).double()
    return together / together.sum(1, keepdim=True)


@severities(80, 65, 58, 50, 40)
def jpeg(images: Tensor, quality: int, draws: Draws) -> Tensor:
    """Written as JPEG with halved colour resolution and read again; rounds to 8 bits first."""
    cv2 = compat.cv2()
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    # OpenCV orders colours as blue, green, red.
    pixels = (images.flip(1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    decoded = np.empty_like(pixels)
    for image, result in zip(pixels, decoded, strict=True):
        _, coded = cv2.imencode(".jpg", np.ascontiguousarray(image), options)
        result[...] = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED).reshape(image.shape)
    return torch.from_numpy(decoded).to(images.device).permute(0, 3, 1, 2).flip(1).float() / 255
