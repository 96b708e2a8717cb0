"""The trainings that params.yaml can name. To add one: write its file, add its class to the union."""

from typing import Annotated

from pydantic import Field

from pixelprune.training.n_fgsm import NFGSM
from pixelprune.training.natural import Natural
from pixelprune.training.pgd import PGDTraining
from pixelprune.training.pretrained import Pretrained
from pixelprune.training.trades import TRADES

Learning = Annotated[Natural | NFGSM | PGDTraining | TRADES, Field(discriminator="name")]
"""Those that learn weights."""
Training = Annotated[Natural | NFGSM | PGDTraining | TRADES | Pretrained, Field(discriminator="name")]
