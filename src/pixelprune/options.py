"""The base of everything that params.yaml can set, and the value types that options share."""

from fractions import Fraction
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Options(BaseModel):
    """Immutable; unknown keys, silent casts and nan are errors. Descriptions become docs and the JSON schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _ratio(value: object) -> object:
    """Reads "8/255" as the literature writes it."""
    if not isinstance(value, str):
        return value
    try:
        return float(Fraction(value))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError('must be a number or a ratio such as "8/255"') from None


def _listed(value: object) -> object:
    """YAML gives lists; options are immutable and hold tuples."""
    return tuple(value) if isinstance(value, list) else value


def _once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("must hold each value once")
    return values


PixelDistance = Annotated[float, BeforeValidator(_ratio, json_schema_input_type=float | str), Field(gt=0)]
"""A distance in units of the pixel range [0, 1]; written as a number or a ratio."""


def within_range(distance: float) -> float:
    """The distance. Raises ValueError where no two values of a pixel are so far apart."""
    if distance > 1:
        levels = f': for {distance:g} gray levels write "{distance:g}/255"' if distance % 1 == 0 else ""
        raise ValueError(f"must lie within the pixel range [0, 1]{levels}")
    return distance


LinfDistance = Annotated[PixelDistance, AfterValidator(within_range)]
"""A distance of single pixels."""

Key = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
"""A name that the user gives to an entry. Without "-", which DVC uses to join the keys of a matrix."""

Once = AfterValidator(_once)
"""Marks a list in which every value has to stand once: a second time it would be counted twice."""

Listed = BeforeValidator(_listed)
"""Marks a tuple field that YAML writes as a list: `Annotated[tuple[int, ...], Listed]`."""
