"""Corruptions at severity 3: imagecorruptions, both sides warm. Differences at the peer's own parameters."""

import dataclasses
import importlib.resources
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from common import models, results, timing
from numpy.typing import NDArray
from torch import Tensor

from pixelprune import cli, runtime
from pixelprune.corruptions.catalog import CORRUPTIONS

SEVERITY = 3
NAMES = {"elastic": "elastic_transform", "jpeg": "jpeg_compression"}
"""What the peer calls ours, where it differs."""

LEVELS: dict[str, Any] = {
    "brightness": 0.3, "contrast": 0.2, "saturate": (2.0, 0.0), "jpeg": 15, "pixelate": 0.4, "zoom_blur": 1.2,
    "gaussian_blur": 3.0, "defocus_blur": (6.0, 0.5),
    "gaussian_noise": 0.18, "shot_noise": 12.0, "impulse_noise": 0.09, "speckle_noise": 0.35,
    "motion_blur": (15.0, 8.0),
}  # fmt: skip
"""The peer's parameters at that severity, which are made for large photographs, in our form; where there is one."""
EXACT = ("brightness", "contrast", "saturate", "jpeg", "pixelate", "zoom_blur", "gaussian_blur", "defocus_blur")
"""No draws: the two sides can be compared pixel by pixel."""


def main() -> None:
    runtime.prepare()
    entry = {"subject": "corruptions", "model": "all", "peer": "imagecorruptions", "machine": timing.machine()}
    try:
        corrupt = peer()
    except Exception as error:  # whatever its import does on this machine, the other subjects go on
        results.replace("corruptions", [results.not_run(f"{type(error).__name__}: {error}", **entry)], "all")
        return
    subject = models.load(next(name for name in models.RUNS if models.is_there(name))).part(slice(64))
    entries = [_compare(name, corrupt, subject.images, subject.ids, entry) for name in CORRUPTIONS]
    ratios = [each["ratio"] for each in entries if each["ratio"]]
    mean = float(np.exp(np.mean(np.log(ratios))))
    words = f"geometric mean of the {len(ratios)} corruptions that the peer can run here"
    entries.insert(0, results.entry(**entry, n=64, ratio=mean, note=words))
    print(f"corruptions: ratio {mean:.1f}, {words}")
    results.replace("corruptions", entries)


def peer() -> Callable[..., NDArray[np.uint8]]:
    """imagecorruptions.corrupt. It asks for one function of setuptools that is gone, and gets it from here."""
    if "pkg_resources" not in sys.modules:
        stand_in = types.ModuleType("pkg_resources")
        vars(stand_in)["resource_filename"] = lambda package, name: str(importlib.resources.files(package) / name)
        sys.modules["pkg_resources"] = stand_in
    from imagecorruptions import corrupt

    function: Callable[..., NDArray[np.uint8]] = corrupt
    return function


def _compare(
    name: str, corrupt: Callable[..., NDArray[np.uint8]], images: Tensor, ids: NDArray[np.int64], entry: results.Entry
) -> results.Entry:
    corruption = CORRUPTIONS[name]  # type: ignore[index]
    pixels: Iterable[NDArray[np.uint8]] = (images * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    if name in LEVELS:
        corruption = dataclasses.replace(corruption, levels=(LEVELS[name],) * 5)

    def ours() -> Tensor:
        return corruption(images, SEVERITY, ids, 0)

    def theirs() -> Tensor:
        found = np.stack([corrupt(image, SEVERITY, NAMES.get(name, name)) for image in pixels])
        return torch.from_numpy(found).permute(0, 3, 1, 2).float() / 255

    entry = entry | {"model": name, "n": len(images)}
    try:
        there = theirs()
    except Exception as error:  # a release of 2020 on libraries of today
        return results.entry(**entry, note=f"the peer cannot run here: {type(error).__name__}: {error}")
    here = ours()
    measured = {
        "ours changes a pixel by": float((here - images).abs().mean()),
        "the peer by": float((there - images).abs().mean()),
        "mean difference": float((here - there).abs().mean()) if name in EXACT else None,
    }
    seconds = timing.alternate({"ours": ours, "peer": theirs})
    ratio = seconds["peer"] / seconds["ours"]
    return results.entry(**entry, ours_s=seconds["ours"], peer_s=seconds["peer"], ratio=ratio, measured=measured)


if __name__ == "__main__":
    cli.run(main, __doc__)
