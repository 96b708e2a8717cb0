"""How much of a study is evaluated: counts of images, and the corruptions."""

from typing import Annotated

from pydantic import Field

from pixelprune.corruptions.catalog import CorruptionName
from pixelprune.options import Listed, Once, Options

RunName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*/[A-Za-z][A-Za-z0-9_]*$")]
"""strategy/training"""


class Evaluation(Options):
    images: int = Field(500, ge=1, description="Test images attacked, stratified by class. Clean accuracy uses all.")
    check_images: int = Field(32, ge=1, description="Of these, how many the costly checks use.")
    check_queries: int = Field(5000, ge=1, description="Of the attacks without gradients, on each of these.")
    adaptive_images: int = Field(
        128, ge=0, description="Of the attacked images, how many are attacked again with the mask moving; 0: none."
    )
    adaptive_steps: int = Field(20, ge=1, description="Gradient steps of each way to attack the whole pipeline.")
    adaptive_queries: int = Field(100, ge=1, description="Of each of its attacks without gradients.")
    planted_mask_images: int = Field(
        16, ge=0, description="Of the attacked images, how many get an example planted behind another mask; 0: none."
    )
    background_images: int = Field(
        0, ge=0, description="Of the attacked images, how many are attacked with other budgets on what was dropped."
    )
    background_times: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Listed, Once] = Field(
        (1.0, 2.0, 4.0, 32.0), min_length=1, description="Those budgets, as multiples of the headline eps."
    )
    smallest_eps_images: int = Field(
        0, ge=0, description="Of the attacked images, for how many the smallest eps that breaks them is searched."
    )
    autoattack_images: int = Field(
        64, ge=1, description="Of the attacked images, how many AutoAttack is given as well, in the runs below."
    )
    autoattack_within: float | None = Field(
        None, gt=0, lt=0.5, description="It stops once the share that stands is known to within this; null: never."
    )
    autoattack: Annotated[tuple[RunName, ...], Listed, Once] = Field(
        (), description="Runs, strategy/training, in which AutoAttack must agree with the ladder."
    )
    corruptions: Annotated[tuple[CorruptionName, ...], Listed, Once] = Field((), description="Corruptions to apply.")
    severities: Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], Listed, Once] = Field(
        (1, 2, 3, 4, 5), description="Their severities."
    )
    corruption_images: int = Field(100, ge=1, description="Test images corrupted, stratified by class.")
