"""How much of a study is evaluated: counts of images, and the corruptions."""

from typing import Annotated

from pydantic import Field

from pixelprune.corruptions.catalog import CorruptionName
from pixelprune.options import Listed, Options


class Evaluation(Options):
    images: int = Field(500, ge=1, description="Test images attacked, stratified by class. Clean accuracy uses all.")
    check_images: int = Field(32, ge=1, description="Of these, how many the costly checks use.")
    adaptive_images: int = Field(
        128, ge=0, description="Of the attacked images, how many are attacked again with the mask moving; 0: none."
    )
    adaptive_steps: int = Field(20, ge=1, description="Gradient steps through the mask.")
    adaptive_queries: int = Field(100, ge=1, description="Squares tried on the whole pipeline.")
    corruptions: Annotated[tuple[CorruptionName, ...], Listed] = Field((), description="Corruptions to apply.")
    severities: Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], Listed] = Field(
        (1, 2, 3, 4, 5), description="Their severities."
    )
    corruption_images: int = Field(100, ge=1, description="Test images corrupted, stratified by class.")
