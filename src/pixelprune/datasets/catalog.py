"""Every data set that `dataset.name` in params.yaml can name."""

from typing import Annotated

from pydantic import Field

from pixelprune.datasets.cifar10 import Cifar10
from pixelprune.datasets.cifar100 import Cifar100
from pixelprune.datasets.coco import Coco
from pixelprune.datasets.folder import Folder
from pixelprune.datasets.gtsrb import Gtsrb
from pixelprune.datasets.signs import Signs
from pixelprune.datasets.stl10 import Stl10

Dataset = Annotated[Signs | Cifar10 | Cifar100 | Stl10 | Gtsrb | Coco | Folder, Field(discriminator="name")]
