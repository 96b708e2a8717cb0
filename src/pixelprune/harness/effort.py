"""How much of a defended network is evaluated: how many images, draws, steps and queries each way of attack gets."""

from typing import Annotated

from pydantic import Field, model_validator

from pixelprune.corruptions.catalog import CorruptionName
from pixelprune.options import Listed, Options

Count = Annotated[int, Field(ge=1)]


class Effort(Options):
    images: int = Field(500, ge=1, description="Test images: clean, transferred, and the cheaper ways of attack.")
    costly: int = Field(200, ge=1, description="Of these, how many the costly ways get: more draws, BPDA, unrolled.")
    costliest: int = Field(64, ge=1, description="Of these, how many the costliest get: most draws, draws of a search.")
    check_images: int = Field(16, ge=1, description="Of these, how many the checks get that ask the network.")
    group: int = Field(50, ge=2, description="Images of a batch, where they have a say in one another's classes.")
    draws: Annotated[tuple[Count, Count, Count], Listed] = Field(
        (20, 50, 100), description="Draws a step of the three attacks along a mean, ascending; each gets fewer images."
    )
    steps: int = Field(20, ge=1, description="Of APGD, which attacks searches and doubt.")
    plain_steps: int = Field(1000, ge=1, description="Of plain PGD, which sees one fresh draw a step.")
    tries: int = Field(2, ge=1, description="Of an attack on a mean, where fresh draws do not confirm what it found.")
    queries: int = Field(100, ge=1, description="Of each attack without gradients.")
    search_draws: int = Field(
        10,
        ge=1,
        description="Draws behind an answer to an attack without gradients; of a defense that searches, behind a step "
        "along a mean, and behind a verdict.",
    )
    verdict_draws: int = Field(50, ge=1, description="Fresh draws behind each verdict, by their mean and majority.")
    known_draws: int = Field(3, ge=1, description="Draws that are attacked by themselves, as if they were known.")
    planted_points: int = Field(99, ge=1, description="Points around an image that tell a planted example from it.")
    corruption_images: int = Field(100, ge=1, description="Of the images, how many are corrupted.")
    corruptions: Annotated[tuple[CorruptionName, ...], Listed] = Field((), description="Corruptions to apply.")
    severities: Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], Listed] = Field(
        (1, 2, 3, 4, 5), description="Their severities."
    )
    gamma: float = Field(0.075, gt=0, lt=1, description="How far an estimated probability may be off.")
    delta: float = Field(0.075, gt=0, lt=1, description="How often it may be further off.")
    alpha: float = Field(0.05, gt=0, lt=1, description="Of delta, what the interval that stops the draws may err.")

    @model_validator(mode="after")
    def _in_order(self) -> "Effort":
        if not self.images >= self.costly >= self.costliest >= self.check_images:
            raise ValueError(
                "needs images >= costly >= costliest >= check_images, "
                f"found {self.images}, {self.costly}, {self.costliest}, {self.check_images}"
            )
        if not self.draws[0] < self.draws[1] < self.draws[2]:
            raise ValueError("draws: must ascend")
        if self.alpha >= self.delta:
            raise ValueError("alpha: must be smaller than delta")
        return self
