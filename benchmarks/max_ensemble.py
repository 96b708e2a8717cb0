"""The max ensemble against the original AutoAttack standard, on the models of the fast one.

On fewer images, since it holds all of AutoAttack and more.
"""

import importlib

from common import compare, results
from common.compare import Case
from common.peers import OriginalAutoAttack
from fast_ensemble import MODELS

from pixelprune import cli

IMAGES = {"small-n_fgsm": 200, "resnet18-n_fgsm": 32}
OTHERS = 100


def main() -> None:
    try:
        attack = importlib.import_module("pixelprune.attacks.max").Max()
    except ModuleNotFoundError:
        print("max_ensemble: not run, this version has no pixelprune.attacks.max")
        results.replace(
            "max_ensemble", [results.entry(subject="max_ensemble", note="not run: there is no such attack")]
        )
        return
    peer = OriginalAutoAttack()
    cases = [Case(model, attack, peer, images=IMAGES.get(model, OTHERS), timed=False) for model in MODELS]
    compare.run("max_ensemble", cases)


if __name__ == "__main__":
    cli.run(main, __doc__)
