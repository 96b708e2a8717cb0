"""The measures that params.yaml can name. To add one: write its file, add its class to the union."""

from typing import Annotated

from pydantic import Field

from pixelprune.measures.map_quality import MapQuality

Measure = Annotated[MapQuality, Field(discriminator="name")]
