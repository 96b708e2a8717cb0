"""What a killed stage needs to go on: finished parts, kept outside every output of the pipeline.

DVC empties an output before it runs a stage, so half-done work lives in .pixelprune/state/FINGERPRINT/, in the folder
of the study. Whoever begins work names in its fingerprint all that it depends on: data, options, seed, code and device.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pixelprune import locks, parallel
from pixelprune.errors import ArtifactError
from pixelprune.locks import FOLDER


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
def locked(name: str) -> Iterator[Path]:
    """The state folder of a piece of work, held by this process, or by the first of those that share a stage.

    Who comes second waits until the first is done: it is the same work.
    """
    folder = FOLDER / name
    if not parallel.first():
        parallel.wait()
        yield folder
        return
    with locks.held(name, folder, wait=None):  # beside the folder: who is done may remove that
        folder.mkdir(exist_ok=True)
        parallel.wait()
        yield folder


def forget(folder: Path) -> None:
    """Removes the state of work that is done and whose parts nobody will reuse."""
    shutil.rmtree(folder, ignore_errors=True)
