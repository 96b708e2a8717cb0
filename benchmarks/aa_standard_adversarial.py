"""AutoAttack standard on adversarially trained models: the original.

python benchmarks/aa_standard_adversarial.py [MODEL]    of this model alone
"""

from common import compare
from common.compare import Case
from common.peers import OriginalAutoAttack

from pixelprune import cli
from pixelprune.attacks.autoattack import AutoAttack

FEW = {"resnet18-n_fgsm": 32}
"""Models on which the original takes half an hour for so many images."""
CASES = [
    Case("small-n_fgsm", AutoAttack(), OriginalAutoAttack()),
    Case("resnet18-n_fgsm", AutoAttack(), OriginalAutoAttack(), images=FEW["resnet18-n_fgsm"], timed=False),
]


def main(model: str = "") -> None:
    compare.run("aa_standard_adversarial", CASES, model)


if __name__ == "__main__":
    cli.run(main, __doc__)
