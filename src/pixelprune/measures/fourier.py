"""The Fourier heat map: the error under each single frequency, added to the images at one strength.

Source: Yin et al., "A Fourier Perspective on Model Robustness in Computer Vision", NeurIPS 2019, section 3.3,
arXiv:1906.08988. A frequency and its mirror image are the same wave, so that half of the plane is computed.
"""

import math
from typing import Any, Literal

import numpy as np
import pandas
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from pixelprune.draws import Draws
from pixelprune.measures import answers
from pixelprune.measures.filters import UNIT
from pixelprune.measures.measure import Measured, MeasureOptions, Subject

SIDE = 16
"""Frequencies along a side, at most, where no step is given."""


class Fourier(MeasureOptions):
    name: Literal["fourier"]
    images: int = Field(100, ge=1, description="Test images that it looks at, at most.")
    norm: float = Field(
        4.0,
        gt=0,
        description="l2 length of the wave in each channel of 32 x 32; larger images get more, by sqrt(pixels).",
    )
    step: int | None = Field(
        None, ge=1, description="Every so many frequencies along a side; as few as leave at most 16 where left out."
    )

    def __call__(self, subject: Subject) -> Measured:
        """Error at each frequency. Picture: the plane, zero frequency in the middle, white where all are wrong."""
        seen = subject.test.first(self.images)
        height, width = seen.images.shape[2:]
        step = self.step or math.ceil(max(height, width) / SIDE)
        length = self.norm * math.sqrt(height * width) / UNIT
        clean = answers.logits(subject, seen, seen.images).argmax(1)
        draws = subject.draws(seen, "fourier")
        table: list[dict[str, Any]] = []
        for number, (down, right) in enumerate(half_plane(height, width, step)):
            images = with_wave(seen.images, length * wave(height, width, down, right), draws.branch(number))
            found = answers.logits(subject, seen, images).argmax(1)
            wrong = int((found != seen.labels).sum())
            table.append({
                "down": down, "right": right, "cycles": UNIT * math.hypot(down / height, right / width),
                "n": len(seen), "wrong": wrong, "error": wrong / len(seen), "flips": int((found != clean).sum()),
            })  # fmt: skip
        frame = pandas.DataFrame(table)
        subject.tell(f"{len(frame)} frequencies of {height} x {width}")
        worst = max(table, key=lambda row: row["error"])
        summary = {
            "clean": answers.rate(clean == seen.labels),
            "norm": length,
            "step": step,
            "n": len(seen),
            "frequencies": len(frame),
            "mean error": float(frame["error"].mean()),
            "bands": _bands(frame),
            "worst": {name: worst[name] for name in ("down", "right", "error")},
        }
        return Measured(summary, {"frequencies": frame}, {"heat": heat(frame, height, width, step)})


def half_plane(height: int, width: int, step: int) -> list[tuple[int, int]]:
    """Every `step`-th frequency down and right, from zero outwards, of each pair of mirror images one."""
    found: dict[frozenset[tuple[int, int]], tuple[int, int]] = {}
    for down in _along(height, step):
        for right in _along(width, step):
            pair = frozenset({(down % height, right % width), (-down % height, -right % width)})
            found.setdefault(pair, (down, right))
    return list(found.values())


def wave(height: int, width: int, down: int, right: int) -> Tensor:
    """The cosine of that frequency, float32 (H, W), l2 norm 1: its DFT is zero but there and at the mirror image."""
    rows = torch.arange(height, dtype=torch.float64)[:, None] * down / height
    columns = torch.arange(width, dtype=torch.float64) * right / width
    cosine = torch.cos(2 * math.pi * (rows + columns))
    return (cosine / cosine.norm()).float()


def with_wave(images: Tensor, pattern: Tensor, draws: Draws) -> Tensor:
    """The images with the pattern (H, W) added to each channel, or taken from it, by chance; cut to [0, 1]."""
    return (images + draws.signs(images.shape[1], 1, 1) * pattern.to(images.device)).clamp(0, 1)


def heat(table: pandas.DataFrame, height: int, width: int, step: int) -> NDArray[np.uint8]:
    """The errors as uint8 (H, W), 255 where all are wrong; a frequency that was left out shows its nearest one."""
    errors = {}
    for down, right, error in table[["down", "right", "error"]].itertuples(index=False):
        errors[down % height, right % width] = errors[-down % height, -right % width] = error
    picture = np.zeros((height, width), np.uint8)
    for row, column in np.ndindex(height, width):
        down, right = _nearest(row - height // 2, height, step), _nearest(column - width // 2, width, step)
        picture[row, column] = round(255 * errors[down % height, right % width])
    return picture


def _along(side: int, step: int) -> list[int]:
    """Multiples of the step from -side // 2 on, as many as `side` has frequencies for, ascending."""
    return [frequency for frequency in range(-(side // 2), side - side // 2) if frequency % step == 0]


def _nearest(frequency: int, side: int, step: int) -> int:
    return min(_along(side, step), key=lambda other: abs(other - frequency))


def _bands(table: pandas.DataFrame) -> dict[str, dict[str, float]]:
    """Mean errors of the thirds of the way to the highest frequency along a side."""
    third = UNIT / 6
    low, high = table["cycles"] <= third, table["cycles"] > 2 * third
    bands = {"low": low, "middle": ~low & ~high, "high": high}
    return {
        name: {"error": float(table.loc[inside, "error"].mean()), "frequencies": int(inside.sum())}
        for name, inside in bands.items()
        if inside.any()
    }
