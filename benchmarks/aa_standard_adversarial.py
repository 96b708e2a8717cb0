"""AutoAttack standard on adversarially trained models: the original."""

from common import compare
from common.compare import Case
from common.peers import OriginalAutoAttack

from pixelprune import cli
from pixelprune.attacks.autoattack import AutoAttack

CASES = [
    Case("small-n_fgsm", AutoAttack(), OriginalAutoAttack()),
    Case("resnet18-n_fgsm", AutoAttack(), OriginalAutoAttack(), timed=False),
]


def main() -> None:
    compare.run("aa_standard_adversarial", CASES)


if __name__ == "__main__":
    cli.run(main, __doc__)
