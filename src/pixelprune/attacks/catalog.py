"""The attacks that params.yaml can name. To add one: write its file, add its class to the union."""

from typing import Annotated

from pydantic import Field

from pixelprune.attacks.fgsm import FGSM
from pixelprune.attacks.noise import Noise
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.toolbox import Toolbox

Attack = Annotated[Noise | FGSM | PGD | Toolbox, Field(discriminator="name")]
