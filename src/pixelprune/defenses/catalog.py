"""The defenses that params.yaml can name. To add one: write its file, add its class to the union."""

from typing import Annotated

from pydantic import Field

from pixelprune.defenses.dropout import Dropout
from pixelprune.defenses.ensemble import Ensemble
from pixelprune.defenses.extractor import Extractor
from pixelprune.defenses.head import Head
from pixelprune.defenses.laplace import Laplace
from pixelprune.defenses.rain import Rain
from pixelprune.defenses.reversal import Reversal
from pixelprune.defenses.taylor import Taylor

Defense = Annotated[
    Dropout | Ensemble | Extractor | Head | Laplace | Rain | Reversal | Taylor, Field(discriminator="name")
]
