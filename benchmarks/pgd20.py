"""PGD of 20 steps from one random start: torchattacks and foolbox.

python benchmarks/pgd20.py [MODEL]    of this model alone
"""

from common import compare
from common.compare import Case
from common.peers import FoolboxPGD, TorchattacksPGD

from pixelprune import cli
from pixelprune.attacks.pgd import PGD

OURS = PGD(steps=20)
CASES = [
    Case("small-n_fgsm", OURS, TorchattacksPGD(20)),
    Case("small-n_fgsm", OURS, FoolboxPGD(20)),
    Case("resnet18-n_fgsm", OURS, TorchattacksPGD(20)),
]


def main(model: str = "") -> None:
    compare.run("pgd20", CASES, model)


if __name__ == "__main__":
    cli.run(main, __doc__)
