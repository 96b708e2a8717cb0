"""What a killed stage needs to go on: finished parts, kept outside every output of the pipeline.

DVC empties an output before it runs a stage, so half-done work lives in .pixelprune/state/FINGERPRINT/, in the folder
of the study. Whoever begins work names in its fingerprint all that it depends on: data, options, seed, code and device.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import torch

from pixelprune import parallel
from pixelprune.errors import ArtifactError

FOLDER = Path(".pixelprune/state")


def fingerprint(**parts: Any) -> str:
    """A name for work that depends on these parts (JSON values), on torch's version and on the thread count."""
    parts |= {"torch": torch.__version__, "threads": torch.get_num_threads()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


def file_digest(path: Path) -> str:
    """sha256 of the file's bytes. Raises ArtifactError where there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file. Run `dvc repro`, or `dvc pull` to fetch it.") from None


@contextmanager
def locked(name: str, out: Path, wait: float = 600) -> Iterator[Path]:
    """The state folder of a piece of work that ends in the folder `out`, held by this process, or by the first of those
    that share a stage.

    A stage whose dvc was killed may still be running, maybe with other params: then we say so, and wait for it at most
    `wait` seconds. Else it would write its results over ours.
    """
    folder = FOLDER / name
    if not parallel.first():
        parallel.wait()
        yield folder
        return
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"{folder}: cannot be written ({error.strerror}).") from None
    with _held(out.as_posix().replace("/", "-"), out, wait), _held(name, folder, wait):
        folder.mkdir(exist_ok=True)
        parallel.wait()
        yield folder


@contextmanager
def _held(name: str, what: Path, wait: float) -> Iterator[None]:
    lock = filelock.FileLock(FOLDER / f"{name}.lock")  # beside the folder: who is done may remove that
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print(f"  another process is at this very work ({what}); waiting for it", file=sys.stderr)
        try:
            lock.acquire(timeout=wait)
        except filelock.Timeout:
            raise ArtifactError(f"{what}: still held after {wait:.0f} s. End that process, then run again.") from None
    try:
        yield
    finally:
        lock.release()


def forget(folder: Path) -> None:
    """Removes the state of work that is done and whose parts nobody will reuse."""
    shutil.rmtree(folder, ignore_errors=True)
