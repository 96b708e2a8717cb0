"""The attacks that params.yaml can name. To add one: write its file, add its class to the union."""

from typing import Annotated

from pydantic import Field

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.apgd_targeted import APGDTargeted
from pixelprune.attacks.autoattack import AutoAttack
from pixelprune.attacks.fab import FAB
from pixelprune.attacks.fast import Fast
from pixelprune.attacks.fgsm import FGSM
from pixelprune.attacks.max import Max
from pixelprune.attacks.noise import Noise
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.rays import RayS
from pixelprune.attacks.square import Square
from pixelprune.attacks.toolbox import Toolbox

Attack = Annotated[
    Noise | FGSM | PGD | APGD | APGDTargeted | FAB | Square | RayS | AutoAttack | Fast | Max | Toolbox,
    Field(discriminator="name"),
]
