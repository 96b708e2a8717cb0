"""CIFAR-10: 60,000 photos of 32x32 pixels in ten classes.

**Source:** A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009;
https://www.cs.toronto.edu/~kriz/cifar.html. The binary or the Python version; no pickle is ever loaded: the opcodes of
the Python version are read as data.
"""

from typing import Any, Literal

from pixelprune.datasets import cifar
from pixelprune.datasets.cifar import Version
from pixelprune.datasets.mirror import origin
from pixelprune.datasets.options import DatasetOptions, Progress
from pixelprune.datasets.origin import Archive
from pixelprune.datasets.split import Split, hold_out

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
ROWS = cifar.Rows("CIFAR-10", images=10_000, label_bytes=1, label_byte=0, key="labels", classes=len(CLASSES))
BINARY = Version(
    "cifar-10-batches-bin",
    Archive(
        "cifar-10-binary.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "md5:c32a1d4ab5d03f1284b67883e8d87530",
    ),
    {
        "data_batch_1.bin": "sha1:aadd24acce27caa71bf4b10992e9e7b2d74c2540",
        "data_batch_2.bin": "sha1:c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
        "data_batch_3.bin": "sha1:1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
        "data_batch_4.bin": "sha1:aab85764eb3584312d3c7f65fd2fd016e36a258e",
        "data_batch_5.bin": "sha1:26e2849e66a845b7f1e4614ae70f4889ae604628",
        "test_batch.bin": "sha1:67eb016db431130d61cd03c7ad570b013799c88c",
    },
)
PYTHON = Version(
    "cifar-10-batches-py",
    Archive(
        "cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "md5:c58f30108f718f92721af3b95e74349a",
    ),
    {
        "data_batch_1": "md5:c99cafc152244af753f735de768cd75f",
        "data_batch_2": "md5:d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "md5:54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "md5:634d18415352ddfa80567beed471001a",
        "data_batch_5": "md5:482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "md5:40351d587109b95175f43aff81a1287e",
    },
)


class Cifar10(DatasetOptions):
    """Photos of ten kinds of animals and vehicles; every image stands alone, nothing is annotated."""

    name: Literal["cifar10"]

    def read(self, progress: Progress) -> tuple[Split, Split, dict[str, Any]]:
        place = origin(progress)
        train, test = cifar.read(self, place, (BINARY, PYTHON), ROWS, progress)
        card = {
            "name": self.name,
            "classes": CLASSES,
            "groups": None,
            "masks": None,
            "source": "CIFAR-10, https://www.cs.toronto.edu/~kriz/cifar.html",
            "terms": "No licence is stated by its makers; cite A. Krizhevsky, Learning Multiple Layers of Features "
            "from Tiny Images, 2009.",
            **place.card(),
        }
        return hold_out(train, self.validation, self.seed), test, card
