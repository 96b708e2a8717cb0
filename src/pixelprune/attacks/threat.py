"""What an attacker may do to a picture: a norm and how far, as params.yaml states it."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from pixelprune.attacks.balls import Ball, L2Ball, LinfBall
from pixelprune.options import Options, PixelDistance, within_range

BALLS: dict[str, type[LinfBall] | type[L2Ball]] = {"linf": LinfBall, "l2": L2Ball}


def _several(value: object) -> object:
    """One radius is a list of one."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


class Threat(Options):
    """`norm: linf, eps: [2/255, 4/255, 8/255], headline: 8/255`"""

    norm: Literal["linf", "l2"] = Field("linf", description="How the size of a perturbation is measured.")
    eps: Annotated[
        tuple[PixelDistance, ...],
        BeforeValidator(_several, json_schema_input_type=list[float | str] | float | str),
        Field(min_length=1, description="Radii to attack with, ascending, in units of the pixel range [0, 1]."),
    ]
    headline: PixelDistance = Field(
        None,
        validate_default=True,
        description="The radius that summaries speak of: one of eps; the largest where left out.",
    )

    @field_validator("eps")
    @classmethod
    def _ascends(cls, eps: tuple[float, ...], others: ValidationInfo) -> tuple[float, ...]:
        if others.data.get("norm") == "linf":
            within_range(max(eps))
        if any(larger <= smaller for smaller, larger in pairwise(eps)):
            raise ValueError(f"must ascend, as {_shown(sorted(set(eps)))}")
        return eps

    @field_validator("headline", mode="before")
    @classmethod
    def _largest(cls, headline: object, others: ValidationInfo) -> object:
        # Where eps is at fault there is nothing to compare with, and one message is enough.
        return others.data.get("eps", (1.0,))[-1] if headline is None else headline

    @field_validator("headline")
    @classmethod
    def _is_attacked(cls, headline: float, others: ValidationInfo) -> float:
        if headline not in others.data.get("eps", (headline,)):
            raise ValueError(f"must be one of eps {_shown(others.data['eps'])}")
        return headline

    @property
    def at_headline(self) -> "Threat":
        """The same at this radius alone."""
        return Threat(norm=self.norm, eps=(self.headline,))

    def ball(self, eps: float | None = None) -> Ball:
        """The ball of this radius; of the headline's where left out."""
        return BALLS[self.norm](eps=self.headline if eps is None else eps)


def _shown(radii: tuple[float, ...] | list[float]) -> str:
    """In the literature's form where it is exact: 8/255."""
    ratios = [(radius, round(radius * 255)) for radius in radii]
    return "[" + ", ".join(f"{n}/255" if n and n / 255 == radius else f"{radius:g}" for radius, n in ratios) + "]"
