"""How strongly each pixel moves the logit of the predicted class: sum over channels of |d z_t / d x|.

Source: Simonyan, Vedaldi, Zisserman, "Deep Inside Convolutional Networks", ICLR workshop 2014, arXiv:1312.6034,
section 3 (there the maximum over channels).
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from pixelprune.maps.class_gradient import chunks, class_gradient, predicted
from pixelprune.maps.map import Ids, MapOptions, Source, Weights, per_image_scale


class Gradient(MapOptions):
    name: Literal["gradient"]
    reads: Weights
    needs: ClassVar[Literal["nothing", "foreground", "model"]] = "model"
    behaviour: ClassVar[Literal["static", "dynamic"]] = "dynamic"

    def __call__(self, images: Tensor, ids: Ids, source: Source) -> Tensor:
        """In [0, 1], relative to the largest of the image. t is the predicted class, never the label."""
        model = source.classifier()
        maps = [images.new_empty(0, *images.shape[2:])]
        for part in chunks(images):
            gradient = class_gradient(model, images[part], predicted(model, images[part]))
            maps.append(per_image_scale(gradient.abs().sum(1)))
        return torch.cat(maps)
