"""APGD on cross-entropy, 100 steps from one start: the original of AutoAttack's authors.

python benchmarks/apgd_ce100.py [MODEL]    of this model alone
"""

from common import compare
from common.compare import Case
from common.peers import OriginalAutoAttack

from pixelprune import cli
from pixelprune.attacks.apgd import APGD

CASES = [
    Case(model, APGD(steps=100), OriginalAutoAttack("apgd-ce"), timed=model != "resnet18-natural")
    for model in ("small-n_fgsm", "small-natural", "resnet18-n_fgsm", "resnet18-natural")
]


def main(model: str = "") -> None:
    compare.run("apgd_ce100", CASES, model)


if __name__ == "__main__":
    cli.run(main, __doc__)
