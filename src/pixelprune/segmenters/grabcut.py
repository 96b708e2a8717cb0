"""GrabCut: colour models of foreground and background, and a cut between them that follows edges.

Source: Rother, Kolmogorov, Blake, "GrabCut: interactive foreground extraction using iterated graph cuts", SIGGRAPH
2004; OpenCV's implementation. Ours starts from a prior in place of a user's box, smooths the sensor's noise away before
colours are fitted, and takes the prior itself where the cut leaves next to nothing or next to everything.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from pixelprune import compat, sampling
from pixelprune.segmenters.segmenter import SegmenterOptions

TONES, PIXELS = 40, 2
"""Of the bilateral filter: it takes away differences of about so many grey levels within about so many pixels. With
noise in the colours the cut falls to pieces at 32 x 32; a blurred edge would become a colour of the object.
"""

LEAST = 0.04
"""A segment that is smaller than this share of the image, or larger than 1 - LEAST, is a failure."""


class GrabCut(SegmenterOptions):
    """Cuts the object out by colour and edges, from a prior about its place."""

    name: Literal["grabcut"]
    prior: Annotated[
        Literal["box", "centre"],
        Field(description="box: background outside of a box, object inside; centre: object in a disc is only probable"),
    ] = "box"
    share: Annotated[float, Field(gt=0, le=1, description="side of the box, diameter of the disc; 1 = the image's")] = (
        0.95
    )
    core: Annotated[
        float, Field(ge=0, le=1, description="diameter of a disc in the middle that surely is object; 1 = the image's")
    ] = 0.35
    iterations: Annotated[int, Field(ge=1, le=20, description="rounds of fitting colours and cutting")] = 1
    seed: Annotated[int, Field(ge=0, description="seed of the first clustering of colours")] = 0

    def __call__(
        self, images: NDArray[np.uint8], ids: NDArray[np.int64], annotation: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        prior = self._prior(*images.shape[1:3])

        def cut(image: NDArray[np.uint8], image_id: int) -> NDArray[np.float32]:
            return self._cut(image, prior, int(image_id))

        # OpenCV lets other threads run meanwhile, and its random numbers are a thread's own: seeded for each image.
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            segments = list(threads.map(cut, images, ids))
        return np.stack(segments) if segments else np.empty(images.shape[:3], np.float32)

    def _cut(self, image: NDArray[np.uint8], prior: NDArray[np.uint8], image_id: int) -> NDArray[np.float32]:
        cv2 = compat.cv2()
        trimap = prior.copy()
        cv2.setRNGSeed(int(sampling.numpy_generator(self.seed, "grabcut", image_id).integers(2**31)))
        smooth = cv2.bilateralFilter(np.ascontiguousarray(image), 5, TONES, PIXELS)
        cv2.grabCut(smooth, trimap, None, None, None, self.iterations, cv2.GC_INIT_WITH_MASK)
        segment = _foreground(trimap)
        return segment if LEAST <= segment.mean() <= 1 - LEAST else _foreground(prior)

    def _prior(self, height: int, width: int) -> NDArray[np.uint8]:
        """uint8 (height, width) in OpenCV's terms. The outermost pixels always are background, the middle object."""
        cv2 = compat.cv2()
        y, x = (2 * np.abs(np.arange(side) - (side - 1) / 2) / side for side in (height, width))
        box, disc = np.maximum(y[:, None], x[None, :]), np.hypot(y[:, None], x[None, :])
        if self.prior == "box":
            prior = np.where(box <= self.share, cv2.GC_PR_FGD, cv2.GC_BGD)
        else:
            prior = np.where(disc <= self.share, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
        prior[disc <= max(self.core, disc.min())] = cv2.GC_FGD
        prior[[0, -1]], prior[:, [0, -1]] = cv2.GC_BGD, cv2.GC_BGD
        return prior.astype(np.uint8)


def _foreground(trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (trimap & 1).astype(np.float32)  # GC_FGD = 1 and GC_PR_FGD = 3 are the odd ones
