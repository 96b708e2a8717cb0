"""The measures that params.yaml can name. To add one: write its file, add its class to the union."""

from typing import Annotated

from pydantic import Field

from pixelprune.measures.probabilistic import Probabilistic
from pixelprune.measures.psi import Psi
from pixelprune.measures.surface import Surface

Measure = Annotated[Probabilistic | Psi | Surface, Field(discriminator="name")]
