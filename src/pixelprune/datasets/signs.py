"""The built-in data set: rendered road signs with exact masks, and two ties whose strength is known.

`background_tie` is the probability that an image's scene is of its class's own family; else the family is drawn from
all ten. `outline_tie` is the probability that a plate has its class's own outline; else the outline is drawn from all
six. So at outline_tie 0 outline and class are independent, and colour and pictogram alone make the class; at 1 the
outline tells the class as far as outlines can: stop (octagon), give way (inverted triangle) and caution (triangle)
stand alone, circles are shared by three classes, squares and diamonds by two each.

Image i of a part is a function of (seed, part, i) and of the options above: a larger set begins with the smaller one.
Every run of ten images holds each class once. Exact for one version of OpenCV, which draws and shrinks.
"""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from pixelprune import sampling
from pixelprune.datasets import signs_camera, signs_plates, signs_scenes
from pixelprune.datasets.options import DatasetOptions, Progress
from pixelprune.datasets.split import Part, Split, hold_out

FIRST_ID = {"train": 0, "test": 1_000_000_000}
CLASSES = [kind.name for kind in signs_plates.CLASSES]


class Signs(DatasetOptions):
    """Ten classes of road signs, rendered."""

    name: Literal["signs"]
    train: Annotated[int, Field(ge=10, le=1_000_000, description="training images")] = 4000
    test: Annotated[int, Field(ge=10, le=1_000_000, description="test images")] = 500
    background_tie: Annotated[
        float, Field(ge=0, le=1, description="probability that the scene is the class's own; else one of ten at random")
    ] = 0.5
    outline_tie: Annotated[
        float,
        Field(ge=0, le=1, description="probability that the outline is the class's own; else one of six at random"),
    ] = 0.0

    def read(self, progress: Progress) -> tuple[Split, Split, dict[str, Any]]:
        """Rendered on the spot; see DatasetOptions."""
        train = hold_out(self._rendered("train", self.train, progress), self.validation, self.seed)
        test = self._rendered("test", self.test, progress)
        return (
            train,
            test,
            {
                "name": self.name,
                "classes": CLASSES,
                "groups": None,
                "masks": "exact, from the renderer: pixels that show more plate than anything else",
                "source": "rendered by pixelprune",
                "status": "built in",
                "sha256": {},
                "terms": "as the program's license",
            },
        )

    def _rendered(self, part: Part, count: int, progress: Progress) -> Split:
        images = np.empty((count, self.size, self.size, 3), np.uint8)
        masks = np.empty((count, self.size, self.size), bool)
        labels = np.array([self._label(part, i) for i in range(count)], np.int64)
        for i in progress(range(count), f"rendering {part} images"):
            shot = self._shot(part, i, int(labels[i]))
            images[i], masks[i] = shot.image, shot.coverage > 0.5
        ids = FIRST_ID[part] + np.arange(count, dtype=np.int64)
        return Split(images, labels, ids, ids, masks)

    def _label(self, part: Part, i: int) -> int:
        """Each block of as many images as there are classes holds every class once, in random order."""
        block, place = divmod(i, len(CLASSES))
        return int(sampling.numpy_generator(self.seed, "label", part, block).permutation(len(CLASSES))[place])

    def drawn(self, part: Part, i: int, label: int) -> tuple[str, str]:
        """Outline and family of scenes of image i: what the two ties decided."""
        random = sampling.numpy_generator(self.seed, "tie", part, i)
        outline, scene = random.random(2)
        any_outline, any_scene = (
            random.integers(len(signs_plates.OUTLINES)),
            random.integers(len(signs_scenes.FAMILIES)),
        )
        own = signs_plates.CLASSES[label]
        return (
            own.outline if outline < self.outline_tie else list(signs_plates.OUTLINES)[any_outline],
            own.scene if scene < self.background_tie else list(signs_scenes.FAMILIES)[any_scene],
        )

    def _shot(self, part: Part, i: int, label: int) -> signs_camera.Shot:
        outline, family = self.drawn(part, i, label)
        random = sampling.numpy_generator(self.seed, "image", part, i)
        scene = signs_scenes.scene(self.seed, part, family, int(random.integers(signs_scenes.POOL)))
        return signs_camera.shoot(random, scene, label, outline, self.size)
