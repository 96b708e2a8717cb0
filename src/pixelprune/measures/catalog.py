"""The measures that params.yaml can name. To add one: write its file, add its class to the union."""

from typing import Annotated

from pydantic import Field

from pixelprune.measures.corruptions import Corruptions
from pixelprune.measures.fourier import Fourier
from pixelprune.measures.low_pass import LowPass
from pixelprune.measures.map_quality import MapQuality
from pixelprune.measures.probabilistic import Probabilistic
from pixelprune.measures.psi import Psi
from pixelprune.measures.sensitivity import Sensitivity
from pixelprune.measures.surface import Surface

Measure = Annotated[
    Corruptions | Fourier | LowPass | MapQuality | Probabilistic | Psi | Sensitivity | Surface,
    Field(discriminator="name"),
]
