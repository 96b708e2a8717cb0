"""The maps that params.yaml can name. One line a member."""

from typing import Annotated

from pydantic import Field

from pixelprune.maps.background import Background
from pixelprune.maps.constant import Constant
from pixelprune.maps.foreground import Foreground
from pixelprune.maps.random import Random
from pixelprune.maps.shifted import Shifted

Map = Annotated[Background | Constant | Foreground | Random | Shifted, Field(discriminator="name")]
