"""AutoAttack standard on models that nobody defended: the original.

python benchmarks/aa_standard_natural.py [MODEL]    of this model alone
"""

from common import compare
from common.compare import Case
from common.peers import OriginalAutoAttack

from pixelprune import cli
from pixelprune.attacks.autoattack import AutoAttack

CASES = [
    Case("small-natural", AutoAttack(), OriginalAutoAttack()),
    Case("resnet18-natural", AutoAttack(), OriginalAutoAttack(), timed=False),
]


def main(model: str = "") -> None:
    compare.run("aa_standard_natural", CASES, model)


if __name__ == "__main__":
    cli.run(main, __doc__)
