"""The fast ensemble with its defaults against the original AutoAttack standard: two networks, two trainings, two masks.

Its schedule was chosen on other images and models than these. AutoAttack standard of ours is measured on the way: one
turn of the original, which takes minutes, serves both.

python benchmarks/fast_ensemble.py [MODEL]    of this model alone
"""

import aa_standard_adversarial
from common import compare
from common.compare import Case
from common.peers import OriginalAutoAttack

from pixelprune import cli
from pixelprune.attacks.fast import Fast

MODELS = ("small-n_fgsm", "small-pgd", "small-random-n_fgsm", "small-centre-n_fgsm", "resnet18-n_fgsm")
FEW = aa_standard_adversarial.FEW
CASES = [
    Case(model, Fast(), OriginalAutoAttack(), images=FEW.get(model), timed=model == "small-n_fgsm") for model in MODELS
]


def main(model: str = "") -> None:
    compare.run_together({"fast_ensemble": CASES, "aa_standard_adversarial": aa_standard_adversarial.CASES}, model)


if __name__ == "__main__":
    cli.run(main, __doc__)
