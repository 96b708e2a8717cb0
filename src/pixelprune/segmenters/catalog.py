"""Every segmenter, by name."""

from typing import Annotated

from pydantic import Field

from pixelprune.segmenters.annotation import Annotation
from pixelprune.segmenters.grabcut import GrabCut
from pixelprune.segmenters.outline import Outline

Segmenter = Annotated[Annotation | GrabCut | Outline, Field(discriminator="name")]
