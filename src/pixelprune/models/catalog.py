"""The networks that params.yaml can name. To add one: write its file, add its class to the union."""

from typing import Annotated

from pydantic import Field

from pixelprune.models.residual import Residual
from pixelprune.models.resnet18 import ResNet18
from pixelprune.models.resnet20 import ResNet20
from pixelprune.models.robustbench import RobustBench
from pixelprune.models.torchvision import TorchvisionNetwork

Network = Annotated[Residual | ResNet18 | ResNet20 | TorchvisionNetwork | RobustBench, Field(discriminator="name")]
