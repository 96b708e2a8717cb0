"""The measures that params.yaml can name. To add one: write its file, add its class to the union."""

from typing import Annotated

from pydantic import Field

from pixelprune.measures.corruptions import Corruptions
from pixelprune.measures.fourier import Fourier
from pixelprune.measures.low_pass import LowPass
from pixelprune.measures.sensitivity import Sensitivity

Measure = Annotated[Corruptions | Fourier | LowPass | Sensitivity, Field(discriminator="name")]
