"""The attacks that params.yaml can name. To add one: write its file, add its class to the union."""

from typing import Annotated

from pydantic import Field

from pixelprune.attacks.fgsm import FGSM
from pixelprune.attacks.noise import Noise
from pixelprune.attacks.pgd import PGD

Attack = Annotated[Noise | FGSM | PGD, Field(discriminator="name")]
