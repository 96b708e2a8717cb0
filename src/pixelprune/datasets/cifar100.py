"""CIFAR-100: 60,000 photos of 32x32 pixels in a hundred classes, or in twenty groups of five.

**Source:** A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009;
https://www.cs.toronto.edu/~kriz/cifar.html. The binary or the Python version.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from pixelprune.datasets import cifar
from pixelprune.datasets.cifar import Version
from pixelprune.datasets.mirror import origin
from pixelprune.datasets.options import DatasetOptions, Progress
from pixelprune.datasets.origin import Archive
from pixelprune.datasets.split import Split, hold_out

FINE = (  # noqa: SIM905 - as lists they would fill three pages
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can "
    "castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin "
    "elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster "
    "man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck "
    "pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk "
    "skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger "
    "tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"
).split()
COARSE = (  # noqa: SIM905 - as lists they would fill three pages
    "aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices "
    "household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes "
    "large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees "
    "vehicles_1 vehicles_2"
).split()
CLASSES = {"coarse": COARSE, "fine": FINE}
"""In the order of the label bytes in front of an image."""
ROWS = {
    kind: cifar.Rows(
        "CIFAR-100", images=50_000, label_bytes=2, label_byte=place, key=f"{kind}_labels", classes=len(CLASSES[kind])
    )
    for place, kind in enumerate(CLASSES)
}
BINARY = Version(
    "cifar-100-binary",
    Archive(
        "cifar-100-binary.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        "md5:03b5dce01913d631647c71ecec9e9cb8",
    ),
    {"train.bin": None, "test.bin": None},
)
PYTHON = Version(
    "cifar-100-python",
    Archive(
        "cifar-100-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "md5:eb9058c3a382ffc7106e4002c42a8d85",
    ),
    {"train": "md5:16019d7e3df5f24257cddd939b257f8d", "test": "md5:f0ef6b0ae62326f3e7ffdfab6717acfc"},
)


class Cifar100(DatasetOptions):
    """Photos of a hundred kinds of things; every image stands alone, nothing is annotated."""

    name: Literal["cifar100"]
    labels: Annotated[
        Literal["fine", "coarse"], Field(description="fine: a hundred classes; coarse: twenty groups of five")
    ] = "fine"

    def read(self, progress: Progress) -> tuple[Split, Split, dict[str, Any]]:
        place = origin(progress)
        train, test = cifar.read(self, place, (PYTHON, BINARY), ROWS[self.labels], progress)
        card = {
            "name": self.name,
            "classes": CLASSES[self.labels],
            "groups": None,
            "masks": None,
            "source": "CIFAR-100, https://www.cs.toronto.edu/~kriz/cifar.html",
            "terms": "No licence is stated by its makers; cite A. Krizhevsky, Learning Multiple Layers of Features "
            "from Tiny Images, 2009.",
            **place.card(),
        }
        return hold_out(train, self.validation, self.seed), test, card
