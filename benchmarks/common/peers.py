"""The attacks of other libraries, each behind one call: module, images, labels and ball in, adversarial images out.

The module is in eval mode. A peer's options are part of the name of its rows.
"""

import importlib
import logging
from dataclasses import dataclass
from importlib import metadata
from typing import Protocol

import torch
from torch import Tensor, nn

from pixelprune.attacks.balls import Ball

SEED = 0
NORMS = {"linf": "Linf", "l2": "L2"}


class Peer(Protocol):
    @property
    def name(self) -> str:
        """For file names: what is run, with what options."""

    @property
    def package(self) -> str: ...

    def __call__(self, module: nn.Module, images: Tensor, labels: Tensor, ball: Ball) -> Tensor: ...


def version(peer: Peer) -> str:
    """ "foolbox 3.3.4". Raises PackageNotFoundError where it is not installed."""
    return f"{peer.package} {metadata.version(peer.package)}"


def problem(peer: Peer) -> str | None:
    """Why the peer cannot run on this machine; None where it can. The package is imported."""
    try:
        importlib.import_module(peer.package)
    except Exception as error:  # whatever an old package meets in new libraries
        return f"{peer.package} cannot be imported: {type(error).__name__}: {error}"
    return None


@dataclass(frozen=True)
class OriginalAutoAttack:
    """AutoAttack by its authors (fra31/auto-attack, on the registry as pyautoattack); all of it, or one part."""

    part: str = "standard"
    package: str = "pyautoattack"

    @property
    def name(self) -> str:
        return f"autoattack_{self.part}"

    def __call__(self, module: nn.Module, images: Tensor, labels: Tensor, ball: Ball) -> Tensor:
        from pyautoattack import AutoAttack

        logging.getLogger("auto-attack").setLevel(logging.ERROR)
        options = {"norm": NORMS[ball.norm], "eps": ball.eps, "seed": SEED, "device": images.device}
        if self.part == "standard":
            attack = AutoAttack(module, version="standard", **options)
        else:
            attack = AutoAttack(module, version="custom", attacks=[self.part], **options)
            attack.apgd.n_restarts = 1  # as in `standard`
        points, _ = attack.run_standard_evaluation(images, labels, batch_size=250)
        found: Tensor = points.detach()
        return found


@dataclass(frozen=True)
class TorchattacksPGD:
    steps: int
    package: str = "torchattacks"

    @property
    def name(self) -> str:
        return f"torchattacks_pgd{self.steps}"

    def __call__(self, module: nn.Module, images: Tensor, labels: Tensor, ball: Ball) -> Tensor:
        from torchattacks import PGD

        torch.manual_seed(SEED)
        found: Tensor = PGD(module, eps=ball.eps, alpha=2.5 * ball.eps / self.steps, steps=self.steps)(images, labels)
        return found.detach()


@dataclass(frozen=True)
class FoolboxPGD:
    steps: int
    package: str = "foolbox"

    @property
    def name(self) -> str:
        return f"foolbox_pgd{self.steps}"

    def __call__(self, module: nn.Module, images: Tensor, labels: Tensor, ball: Ball) -> Tensor:
        import foolbox

        torch.manual_seed(SEED)
        attack = foolbox.attacks.LinfPGD(steps=self.steps, rel_stepsize=2.5 / self.steps)
        model = foolbox.PyTorchModel(module, bounds=(0, 1), device=images.device)
        _, found, _ = attack(model, images, labels, epsilons=ball.eps)
        points: Tensor = found.detach()
        return points
