"""What a peer found, image by image: computed once, chunk by chunk, and kept beside the results.

A table is used again while the weights, the peer's version and its options are those it was computed with. A chunk
is written when it is finished, so a killed run loses at most one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas
import torch
from torch import Tensor, nn

from common import passes, peers
from common.models import HERE, Subject
from pixelprune import artifacts
from pixelprune.attacks.balls import Ball

FOLDER = HERE / "rows"
CHUNK = 50
"""Images of one call of a peer, and of one verdict."""

COLUMNS = {
    "image": "int64", "clean": "bool", "stands": "bool", "together": "int32", "seconds": "float64", "forward": "int64",
    "backward": "int64", "weights": "str", "peer": "str", "options": "str",
}  # fmt: skip
"""A row an image. clean: right as it is; stands: right as the peer returned it, too. together: images of its chunk;
seconds, forward, backward: of the whole chunk, the same in all its rows."""


@dataclass(frozen=True)
class Totals:
    """Of all rows of a table; an image of a chunk that is not whole has its share of the chunk's time and passes."""

    images: int
    standing: set[int]
    seconds: float
    forward: int
    backward: int
    peer: str

    @property
    def robust(self) -> float:
        return len(self.standing) / self.images


def say(line: str) -> None:
    """At once, also into a log."""
    print(line, flush=True)


def path(peer: peers.Peer, model: str, ball: Ball) -> Path:
    return FOLDER / f"{peer.name}-{model}-{ball.norm}.parquet"


def totals(table: pandas.DataFrame) -> Totals:
    own = table[["seconds", "forward", "backward"]].div(table.together, axis=0).sum()
    return Totals(
        images=len(table),
        standing=set(table.image[table.stands]),
        seconds=float(own.seconds),
        forward=round(own.forward),
        backward=round(own.backward),
        peer=str(table.peer.iloc[0]),
    )


def finished(subject: Subject, peer: peers.Peer, ball: Ball, folder: Path = FOLDER) -> pandas.DataFrame:
    """The rows of the subject's images, as far as they are there."""
    table = _current(subject, peer, ball, folder)
    return table[table.image.isin(subject.ids)].reset_index(drop=True)


def _current(subject: Subject, peer: peers.Peer, ball: Ball, folder: Path) -> pandas.DataFrame:
    """What is there for these weights, options and version, of any image."""
    place = folder / path(peer, subject.name, ball).name
    if not place.exists():
        return pandas.DataFrame({name: [] for name in COLUMNS}).astype(COLUMNS)
    table = artifacts.load_table(place).astype(COLUMNS)
    same = (table.weights == subject.digest) & (table.peer == peers.version(peer)) & (table.options == options(ball))
    return table[same].reset_index(drop=True)


def options(ball: Ball) -> str:
    return f"{ball.norm} {ball.eps:.6f} seed {peers.SEED}"


def compute(
    subject: Subject, peer: peers.Peer, ball: Ball, tell: Callable[[str], None] = say, folder: Path = FOLDER,
    chunk: int = CHUNK,
) -> pandas.DataFrame:  # fmt: skip
    """The rows of every image of the subject; computes those that are not there. `tell` gets a line a chunk."""
    table = _current(subject, peer, ball, folder)
    missing = np.flatnonzero(~np.isin(subject.ids, table.image))
    start, done = time.monotonic(), 0
    for part in np.split(missing, range(chunk, len(missing), chunk)) if len(missing) else []:
        table = pandas.concat([table, _chunk(subject, part, peer, ball)], ignore_index=True).astype(COLUMNS)
        artifacts.save_table(folder / path(peer, subject.name, ball).name, table)
        done += len(part)
        left = (time.monotonic() - start) / done * (len(missing) - done)
        tell(
            f"{peer.name}, {subject.name}, {ball.norm}: {done} of {len(missing)} missing images done, "
            f"{int(table.stands.sum())} of all {len(table)} stand, {left:.0f} s left"
        )
    return finished(subject, peer, ball, folder)


def _chunk(subject: Subject, part: np.ndarray, peer: peers.Peer, ball: Ball) -> pandas.DataFrame:
    index = torch.from_numpy(part)
    images, labels = subject.images[index], subject.labels[index]
    start = time.perf_counter()
    points, passed = attack(subject.original, peer, images, labels, ball)
    seconds = time.perf_counter() - start
    clean = right(subject.original, images, labels)
    return pandas.DataFrame({
        "image": subject.ids[part],
        "clean": clean.numpy(), "stands": (clean & right(subject.original, points, labels)).numpy(),
        "together": len(part), "seconds": seconds, "forward": passed["forward"], "backward": passed["backward"],
        "weights": subject.digest, "peer": peers.version(peer), "options": options(ball),
    }).astype(COLUMNS)  # fmt: skip


def attack(
    original: nn.Module, peer: peers.Peer, images: Tensor, labels: Tensor, ball: Ball
) -> tuple[Tensor, dict[str, int]]:
    """The peer's adversarial images and its passes. Raises AssertionError where it broke the rules."""
    before, counted = passes.snapshot(original), passes.CountedModule(original)
    points = peer(counted, images.clone(), labels.clone(), ball)
    passes.assert_untouched(counted, {f"network.{name}": value for name, value in before.items()}, peer.name)
    passes.assert_inside(points, images, ball, None, peer.name)
    return points, counted.passed


def right(original: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """bool (N,), the verdict that counts for both sides: one float32 forward pass of the original model."""
    with torch.no_grad():
        return torch.cat([
            original(part).argmax(1) == truth for part, truth in zip(images.split(CHUNK), labels.split(CHUNK))
        ])  # fmt: skip
