"""The networks that params.yaml can name. To add one: write its file, add its class to the union."""

from typing import Annotated

from pydantic import Field

from pixelprune.models.residual import Residual
from pixelprune.models.resnet18 import ResNet18

Network = Annotated[Residual | ResNet18, Field(discriminator="name")]
