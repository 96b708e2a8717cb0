"""The fills that params.yaml can name. One line a member."""

from typing import Annotated

from pydantic import Field

from pixelprune.fills.black import Black
from pixelprune.fills.blur import Blur
from pixelprune.fills.inpaint import Inpaint
from pixelprune.fills.mean import Mean
from pixelprune.fills.noise import Noise

Fill = Annotated[Black | Blur | Inpaint | Mean | Noise, Field(discriminator="name")]
