"""GrabCut: colour models of foreground and background, and a cut between them that follows edges.

Source: Rother, Kolmogorov, Blake, "GrabCut: interactive foreground extraction using iterated graph cuts", SIGGRAPH 2004;
OpenCV's implementation. Ours starts from a prior in place of a user's box, works at twice the resolution of small
images, and takes the prior itself where the cut leaves next to nothing or next to everything.
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pixelprune import compat, sampling
from pixelprune.segmenters.segmenter import SegmenterOptions

SMALL = 48
"""Images with a shorter side are enlarged twice: five colours a model need pixels to be fitted to."""

LEAST = 0.04
"""A segment that is smaller than this share of the image, or larger than 1 - LEAST, is a failure."""


class GrabCut(SegmenterOptions):
    """Cuts the object out by colour and edges, from a prior about its place."""

    name: Literal["grabcut"]
    prior: Annotated[
        Literal["box", "centre"], Field(description="box: nothing outside of it is object; centre: a disc probably is")
    ] = "centre"
    share: Annotated[float, Field(gt=0, le=1, description="side of the box, diameter of the disc; 1 = the image's")] = (
        0.7
    )
    iterations: Annotated[int, Field(ge=1, le=20, description="rounds of fitting colours and cutting")] = 3
    seed: Annotated[int, Field(ge=0, description="seed of the first clustering of colours")] = 0

    def __call__(
        self, images: NDArray[np.uint8], ids: NDArray[np.int64], annotation: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        segments = np.empty(images.shape[:3], np.float32)
        prior = self._prior(*images.shape[1:3])
        for i, image in enumerate(images):
            segments[i] = self._cut(image, prior, int(ids[i]))
        return segments

    def _cut(self, image: NDArray[np.uint8], prior: NDArray[np.uint8], image_id: int) -> NDArray[np.float32]:
        cv2 = compat.cv2()
        height, width = prior.shape
        scale = 2 if min(height, width) < SMALL else 1
        large = cv2.resize(image, (width * scale, height * scale), interpolation=cv2.INTER_CUBIC)
        trimap = np.kron(prior, np.ones((scale, scale), np.uint8))
        cv2.setRNGSeed(int(sampling.numpy_generator(self.seed, "grabcut", image_id).integers(2**31)))
        try:
            cv2.grabCut(large, trimap, None, None, None, self.iterations, cv2.GC_INIT_WITH_MASK)
        except cv2.error:  # too few different colours for a model
            return _foreground(prior)
        segment = cv2.resize(_foreground(trimap), (width, height), interpolation=cv2.INTER_AREA)
        return segment if LEAST <= np.mean(segment > 0.5) <= 1 - LEAST else _foreground(prior)

    def _prior(self, height: int, width: int) -> NDArray[np.uint8]:
        """uint8 (height, width) in OpenCV's terms: probable object inside, and outside of a box certain background."""
        cv2 = compat.cv2()
        y, x = (2 * np.abs(np.arange(side) - (side - 1) / 2) / side for side in (height, width))
        if self.prior == "box":
            inside = np.maximum(y[:, None], x[None, :]) <= self.share
            outside = np.full((height, width), cv2.GC_BGD)
        else:
            inside = np.hypot(y[:, None], x[None, :]) <= self.share
            edge = np.maximum(y[:, None], x[None, :]) > (1 + self.share) / 2
            outside = np.where(edge, cv2.GC_BGD, cv2.GC_PR_BGD)
        return np.where(inside, cv2.GC_PR_FGD, outside).astype(np.uint8)


def _foreground(trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (trimap & 1).astype(np.float32)  # GC_FGD = 1 and GC_PR_FGD = 3 are the odd ones
