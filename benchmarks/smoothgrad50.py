"""SmoothGrad of 50 samples: captum. Correlation where both see the same noisy copies.

python benchmarks/smoothgrad50.py [MODEL]    of this model alone
"""

from collections.abc import Callable

import numpy as np
import torch
from common import models, passes, results, timing
from common.models import Subject
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from pixelprune import cli, runtime
from pixelprune.maps.class_gradient import predicted
from pixelprune.maps.map import Source
from pixelprune.maps.smoothgrad import SmoothGrad
from pixelprune.models.quick import quick

SAMPLES, TOGETHER = 50, 5
"""Noisy copies of an image, and how many of them captum is told to hold at once."""
IMAGES = {"small-natural": 64, "small-n_fgsm": 64, "resnet18-natural": 16}
COMPARED = 8
"""Images whose maps are compared."""
OURS = SmoothGrad(name="smoothgrad", reads="models/none/natural/0", samples=SAMPLES)


def main(model: str = "") -> None:
    runtime.prepare()
    found = [_compare(name, IMAGES[name]) for name in models.chosen(model, IMAGES)]
    results.replace("smoothgrad50", found, model)


def _compare(name: str, count: int) -> results.Entry:
    entry = {"subject": "smoothgrad50", "model": name, "peer": "captum", "n": count}
    try:
        from captum.attr import NoiseTunnel, Saliency
    except ImportError as error:
        return results.not_run(str(error), **entry)
    if not models.is_there(name):
        return results.not_run(results.NO_WEIGHTS, **entry)
    subject = models.load(name).part(slice(count))
    classes = predicted(subject.original, subject.images)
    tunnel, before = NoiseTunnel(Saliency(subject.original)), passes.snapshot(subject.original)

    def peer() -> Tensor:
        attributions: Tensor = tunnel.attribute(
            subject.images, nt_type="smoothgrad_sq", nt_samples=SAMPLES, nt_samples_batch_size=TOGETHER,
            stdevs=OURS.noise, target=classes, abs=False,
        )  # fmt: skip
        return attributions.sum(1)

    copy = quick(subject.network)
    seconds = timing.alternate({"ours": lambda: _ours(subject, copy), "peer": peer})
    passes.assert_untouched(subject.original, before, "captum")
    bare = timing.bare_passes(subject.network, subject.images)
    floor = timing.floor_seconds((SAMPLES + 1) * count, SAMPLES * count, bare)
    correlations = [
        _correlation(subject, position, lambda copies, target: Saliency(subject.original).attribute(
            copies, target=target, abs=False,
        ))
        for position in range(min(COMPARED, count))
    ]  # fmt: skip
    found = results.entry(
        **entry, ours_s=seconds["ours"], peer_s=seconds["peer"], ratio=seconds["peer"] / seconds["ours"],
        ours_passes=(2 * SAMPLES + 1) * count, peer_passes=2 * SAMPLES * count, floor_share=floor / seconds["ours"],
        machine=timing.machine(),
        measured={"Spearman, mean": float(np.mean(correlations)), "Spearman, least": float(np.min(correlations))},
    )  # fmt: skip
    print(f"smoothgrad50, {name}: ratio {found['ratio']:.2f}, {found['measured']}", flush=True)
    return found


def _ours(subject: Subject, copy: Callable[[Tensor], Tensor]) -> Tensor:
    return OURS(subject.images, subject.ids, Source(model=subject.network, quick=copy))


def _correlation(subject: Subject, position: int, gradient: Callable[[Tensor, Tensor], Tensor]) -> float:
    """Of our map of one image with the peer's gradients on the very copies that ours saw."""
    one = subject.part(slice(position, position + 1))
    recorder = Recorder(quick(subject.network))
    ours = _ours(one, recorder)
    target = predicted(subject.original, one.images)
    theirs = sum(gradient(copies, target.expand(len(copies))).square().sum((0, 1)) for copies in recorder.copies)
    assert isinstance(theirs, Tensor)
    return float(stats.spearmanr(_flat(ours), _flat(theirs)).statistic)


class Recorder:
    """A model that keeps the images whose gradient it is asked for."""

    def __init__(self, model: Callable[[Tensor], Tensor]) -> None:
        self.model = model
        self.copies: list[Tensor] = []

    def __call__(self, images: Tensor) -> Tensor:
        if images.requires_grad and torch.is_grad_enabled():
            self.copies.append(images.detach().float().contiguous().clone())
        return self.model(images)


def _flat(values: Tensor) -> NDArray[np.float32]:
    return values.detach().flatten().numpy()


if __name__ == "__main__":
    cli.run(main, __doc__)
