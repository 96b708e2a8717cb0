"""Passes an image when the images double, and peak memory as images, restarts, radii and samples grow.

Each measurement is a process of its own, so that its peak is its own.
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import models, results, timing

from pixelprune import cli, runtime
from pixelprune.attacks.attack import Attack
from pixelprune.attacks.fast import Fast
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.threat import Threat
from pixelprune.harness import accesses
from pixelprune.harness.ladder import Batch, climb
from pixelprune.maps.map import Source
from pixelprune.maps.smoothgrad import SmoothGrad
from pixelprune.models.quick import quick

MODEL = "small-n_fgsm"
LEAST: dict[str, Any] = {"images": 250, "restarts": 1, "radii": 1, "samples": 0}
"""250 images are one chunk of the ladder."""
LARGER: dict[str, dict[str, Any]] = {
    "least": {},
    "images x 2": {"images": 500},
    "images x 4": {"images": 1000},
    "restarts x 4": {"restarts": 4},
    "radii x 4": {"radii": 4},
    "SmoothGrad, 4 samples": {"samples": 4},
    "SmoothGrad, 32 samples": {"samples": 32},
}
IMAGES = 250
"""Different images; more of them are the same again with the same draws, so that nothing but their number changes."""


def main(settings: str = "") -> None:
    runtime.prepare()
    if settings:
        print(json.dumps(_measure(**json.loads(settings))))
        return
    found = {name: _child(LEAST | change) for name, change in LARGER.items()}
    entries = []
    for name, values in found.items():
        grown = values["peak_mb"] / found[_beside(name)]["peak_mb"] - 1
        measured: dict[str, Any] = {
            "passes an image": values["passes"] or None,
            "peak, MB": values["peak_mb"],
            "peak grew by": f"{grown:+.1%}",
        }
        if values["images"] > LEAST["images"]:
            measured["passes an image grew by"] = f"{values['passes'] / found['least']['passes'] - 1:+.1%}"
        entry = {"subject": "scaling", "model": name, "n": values["images"], "ours_s": values["seconds"]}
        entries.append(results.entry(**entry, machine=timing.machine(), measured=measured))
        print(f"scaling, {name}: {measured}", flush=True)
    results.replace("scaling", entries)


def _beside(name: str) -> str:
    """The measurement that another is compared with."""
    return "SmoothGrad, 4 samples" if name.startswith("SmoothGrad") else "least"


def _child(settings: Mapping[str, Any]) -> dict[str, Any]:
    words = [sys.executable, __file__, json.dumps(settings)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    values: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return values


def _measure(images: int, restarts: int, radii: int, samples: int) -> dict[str, Any]:
    """The ladder with PGD and the fast ensemble, or SmoothGrad where samples are asked for; passes are the ladder's."""
    subject = models.load(MODEL).part(slice(IMAGES))
    again = -(-images // len(subject))
    pictures = subject.images.repeat(again, 1, 1, 1)[:images]
    labels, ids = subject.labels.repeat(again)[:images], np.arange(images) % len(subject)
    spent = 0.0
    with timing.stopwatch() as watch:
        if samples:
            smoothgrad = SmoothGrad(name="smoothgrad", reads="models/none/natural/0", samples=samples)
            smoothgrad(pictures, ids, Source(model=subject.network, quick=quick(subject.network)))
        else:
            access = accesses.full(subject.network, torch.ones_like(pictures[:, :1], dtype=torch.bool))
            ladder: dict[str, Attack] = {"pgd": PGD(steps=10, restarts=restarts), "fast": Fast()}
            threat = Threat(eps=tuple(8 / 255 * (step + 1) / radii for step in range(radii)))
            with tempfile.TemporaryDirectory() as folder:
                batch = Batch(pictures, labels, ids, ids, examples=64)
                table, _ = climb(batch, access, {"linf": threat}, ladder, seed=0, folder=Path(folder))
            spent = float((table.forward + table.backward).sum()) / images
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"images": images, "passes": spent, "peak_mb": peak, "seconds": watch.seconds}


if __name__ == "__main__":
    cli.run(main, __doc__)
