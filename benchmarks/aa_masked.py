"""AutoAttack standard where a model keeps a quarter of the pixels.

The original attacks the masked model; its random starts and queries go to pixels, too, that the model never sees.
"""

from common import compare
from common.compare import Case
from common.peers import OriginalAutoAttack

from pixelprune import cli
from pixelprune.attacks.autoattack import AutoAttack
from pixelprune.attacks.balls import L2Ball

MODEL = "small-random-n_fgsm"
CASES = [Case(MODEL, AutoAttack(), OriginalAutoAttack(), ball, timed=False) for ball in (compare.LINF, L2Ball(eps=0.5))]


def main() -> None:
    compare.run("aa_masked", CASES)


if __name__ == "__main__":
    cli.run(main, __doc__)
