"""The long tail of published attacks: any class of torchattacks, behind our signature.

Source: Kim, "Torchattacks: A PyTorch Repository for Adversarial Attacks", arXiv:2010.01950, release 3.5.1.
Its attacks know no masks and some know no box or other norms. What they return is therefore put onto our mask and into
our ball: **on a masked image this is weaker than an attack that searches under the mask**, and a class made for another
norm is weaker still. Good as a cross-check from outside; the headline needs our own attacks.
"""

import contextlib
import difflib
import inspect
import io
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn

from pixelprune import global_state
from pixelprune.attacks.balls import Ball, inside
from pixelprune.attacks.estimators import PLAIN, Estimator
from pixelprune.attacks.losses import margin
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.attacks.worst import Worst
from pixelprune.draws import Draws
from pixelprune.errors import ParamsError
from pixelprune.options import Options

OURS = ("model", "eps", "max_epsilon", "norm", "seed", "n_classes", "verbose")
"""Arguments that follow from the threat, the model and the draws."""


class Toolbox(Options):
    name: Literal["toolbox"] = "toolbox"
    attack: str = Field(description="A class of torchattacks, e.g. APGD, Square, DIFGSM.")
    arguments: dict[str, float | int | str | bool] = Field(
        default={}, validate_default=True, description="Arguments of that class. eps, norm, seed and classes are given."
    )
    batch: int = Field(
        1, ge=1, description="Images at a time. More is faster, for classes that always call the model on all of them."
    )

    @field_validator("attack")
    @classmethod
    def _exists(cls, attack: str) -> str:
        known = _known()
        if attack not in known:
            raise ValueError(f"torchattacks has no such attack{_near(attack, list(known))}")
        return attack

    @field_validator("arguments")
    @classmethod
    def _fit(cls, arguments: dict[str, Any], others: ValidationInfo) -> dict[str, Any]:
        if "attack" in others.data:
            attack = others.data["attack"]
            known = [name for name in _known()[attack] if name not in OURS]
            for name in arguments:
                if name in OURS:
                    raise ValueError(f"{name} follows from the threat and the run: leave it out")
                if name not in known:
                    there = ", ".join(known) or "no arguments"
                    raise ValueError(f"no argument {name!r} of {attack}, which has {there}{_near(name, known)}")
        return {name: _ratio(value) for name, value in arguments.items()}

    def __call__(
        self,
        model: Model,
        images: Tensor,
        labels: Tensor,
        *,
        ball: Ball,
        mask: Tensor,
        draws: Draws,
        estimator: Estimator = PLAIN,
    ) -> Tensor:
        """Adversarial images, float32 (N, C, H, W) in [0, 1]; shapes and guarantees as in PGD.

        The estimator is not used: torchattacks takes gradients by itself. Every `batch` images get their own
        seed. Raises ParamsError where `batch` is more than the class can do for a model with frozen masks; errors
        inside torchattacks pass through, with a note.
        """
        worst = Worst(model, images, labels, mask)
        seeds = (draws.integers() % 2**31).tolist()
        standing = worst.standing
        for index in standing.split(self.batch) if len(standing) else ():  # nothing would split into one empty part
            part = narrow(model, index)
            found = self._search(part, images[index], labels[index], ball, seeds[int(index[0])])
            points = inside(images[index], (found - images[index]) * mask[index], ball)
            with torch.no_grad():
                worst.see(index, points, margin(part(points), labels[index]))
        return worst.points

    def _search(self, model: Model, images: Tensor, labels: Tensor, ball: Ball, seed: int) -> Tensor:
        import torchattacks

        with torch.no_grad():
            classes = model(images).shape[1]
        norm = {"linf": "Linf", "l2": "L2"}[getattr(ball, "norm", "linf")]
        ours = {"eps": ball.eps, "max_epsilon": ball.eps, "norm": norm, "seed": seed, "n_classes": classes}
        module = _Module(model, len(images), images.device)
        with global_state.seeded(seed, images.device), contextlib.redirect_stdout(io.StringIO()), torch.enable_grad():
            kind = getattr(torchattacks, self.attack)
            given = {name: value for name, value in ours.items() if name in _known()[self.attack]}
            try:
                found = kind(module, **given, **self.arguments)(images.clone(), labels.clone())
            except Exception as error:
                error.add_note(f"raised inside torchattacks.{self.attack}, with {self.arguments or 'its defaults'}")
                raise
        assert not module.training, "torchattacks left the model in train mode"
        return found.detach().to(images.device, images.dtype)


class _Module(nn.Module):
    """What torchattacks demands of a model: a module with a parameter, which tells it the device.

    The model itself is hidden from it, so that its switching of modes cannot thaw what was frozen.
    """

    def __init__(self, model: Model, images: int, device: torch.device) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros((), device=device), requires_grad=False)
        self._hidden: tuple[Callable[[Tensor], Tensor], int] = (model, images)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        model, expected = self._hidden
        if len(images) == expected or not hasattr(model, "narrow"):
            return model(images)
        if expected == 1:  # copies of the one image, for a model that holds one mask
            return torch.cat([model(image) for image in images.split(1)])
        raise ParamsError(
            f"this attack calls the model with {len(images)} of its {expected} images, which a model with frozen masks "
            "cannot tell apart: leave out `batch` of the attack"
        )


def _ratio(value: Any) -> Any:
    """`alpha: 2/255` reads as everywhere else in params.yaml; other words are left alone."""
    return float(Fraction(value)) if isinstance(value, str) and re.fullmatch(r"\d+/[1-9]\d*", value) else value


def _known() -> dict[str, list[str]]:
    """The attacks that need nothing but a model and numbers, each with its arguments."""
    import torchattacks

    known = {}
    for name in torchattacks.__all__:
        model, *arguments = list(inspect.signature(getattr(torchattacks, name)).parameters.values())
        if model.name == "model" and all(argument.default is not argument.empty for argument in arguments):
            known[name] = [argument.name for argument in arguments]
    return known


def _near(word: str, names: list[str]) -> str:
    lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(word.lower(), lower, n=1)
    return f"; did you mean {lower[near[0]]!r}?" if near else ""
