"""Times of several contestants that take turns, so that the load of the machine falls on all of them alike."""

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from pixelprune import runtime
from pixelprune.models.quick import quick

ROUNDS = 3
BATCH = 128
"""Images of a bare pass."""


def alternate(contestants: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each contestant; one turn of everyone, then the next."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            with stopwatch() as watch:
                run()
            seconds[name].append(watch.seconds)
    return {name: median(values) for name, values in seconds.items()}


@dataclass
class Watch:
    seconds: float = 0.0


@contextmanager
def stopwatch() -> Iterator[Watch]:
    """How long the block took, once it has ended."""
    watch, start = Watch(), time.perf_counter()
    yield watch
    watch.seconds = time.perf_counter() - start


def bare_passes(network: nn.Module, images: Tensor) -> dict[str, float]:
    """Seconds an image of one forward pass, and of one forward with its backward to the image, of the quick copy.

    No attack can be faster than its passes are here.
    """
    few, copy = images[:BATCH], quick(network)

    def forward() -> None:
        with torch.no_grad():
            copy(few)

    def both() -> None:
        points = few.detach().requires_grad_()
        torch.autograd.grad(copy(points).float().sum(), points)

    forward()
    both()
    seconds = alternate({"forward": forward, "both": both}, rounds=5)
    return {name: value / len(few) for name, value in seconds.items()}


def floor_seconds(forward: int, backward: int, bare: Mapping[str, float]) -> float:
    """What these passes cost at least."""
    return backward * bare["both"] + max(forward - backward, 0) * bare["forward"]


def machine() -> str:
    """The processor, its threads in use, torch, and where the processor lacks what quick copies are quick by."""
    threads = f"{torch.get_num_threads()} of {os.cpu_count()} threads"
    lacking = "" if runtime.computes_bfloat16(torch.device("cpu")) else ", no bfloat16 in hardware"
    return f"{_processor()}, {threads}, torch {torch.__version__}{lacking}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
