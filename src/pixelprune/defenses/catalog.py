"""The defenses that params.yaml can name. To add one: write its file, add its class to the union."""

from typing import Annotated

from pydantic import Field

from pixelprune.defenses.rain import Rain
from pixelprune.defenses.reversal import Reversal
from pixelprune.defenses.taylor import Taylor

Defense = Annotated[Rain | Reversal | Taylor, Field(discriminator="name")]
