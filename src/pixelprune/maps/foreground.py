"""The foreground first: the probability that a segmenter gives.

Source: Vaishnavi, Cong, Eykholt, Prakash, Rahmati, "Can Attention Masks Improve Adversarial Robustness?",
arXiv:1911.11946.
"""

from typing import ClassVar, Literal

from torch import Tensor

from pixelprune.maps.map import Ids, MapOptions, Segmentation, Source


class Foreground(MapOptions):
    name: Literal["foreground"]
    reads: Segmentation
    needs: ClassVar[Literal["nothing", "foreground", "model"]] = "foreground"
    behaviour: ClassVar[Literal["static", "dynamic"]] = "dynamic"
    has_region: ClassVar[bool] = True

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """Foreground probability, in [0, 1]."""
        return source.probability(images, ids)
