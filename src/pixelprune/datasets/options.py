"""What every data set lets the user set."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pixelprune.datasets.split import Part, Split
from pixelprune.options import Options
from pixelprune.sampling import numpy_generator, stratified

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
"""As cli.progress: hands the items through and shows how far; the text says what is done."""


class DatasetOptions(Options):
    """A member adds `name: Literal[...]`, its own fields, and `read`."""

    name: str
    size: Annotated[int, Field(ge=8, le=512, description="height and width of an image, in pixels")] = 32
    train: Annotated[int | None, Field(ge=2, description="at most so many training images, classes in proportion")] = (
        None
    )
    test: Annotated[int | None, Field(ge=1, description="at most so many test images, classes in proportion")] = None
    validation: Annotated[
        float, Field(ge=0, le=0.5, description="share of the training images held out, by whole groups")
    ] = 0.1
    seed: Annotated[int, Field(ge=0, description="seed of the choice of images and of the held-out part")] = 0

    def read(self, progress: Progress) -> tuple[Split, Split, dict[str, Any]]:
        """Training part (with `validation`), test part, card without counts and size. Raises DataError."""
        raise NotImplementedError

    def chosen(self, labels: NDArray[np.int64], part: Part) -> NDArray[np.int64]:
        """Sorted positions of the images that the limit of `part` leaves, each class with its share."""
        limit = self.train if part == "train" else self.test
        return stratified(labels, len(labels) if limit is None else limit, numpy_generator(self.seed, part))
