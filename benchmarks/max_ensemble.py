"""The max ensemble against the original AutoAttack standard, on the models of the fast one.

On fewer images, since it holds all of AutoAttack and more.

python benchmarks/max_ensemble.py [MODEL]    of this model alone
"""

from common import compare
from common.compare import Case
from common.peers import OriginalAutoAttack
from fast_ensemble import MODELS

from pixelprune import cli
from pixelprune.attacks.max import Max

IMAGES = {"resnet18-n_fgsm": 16}
OTHERS = 100


def main(model: str = "") -> None:
    peer = OriginalAutoAttack()
    cases = [Case(model, Max(), peer, images=IMAGES.get(model, OTHERS), timed=False) for model in MODELS]
    compare.run("max_ensemble", cases, model)


if __name__ == "__main__":
    cli.run(main, __doc__)
