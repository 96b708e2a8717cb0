"""Reads and writes the files that pass between stages. A file is whole under its name, or absent.

The same content gives the same bytes: no time stamps, sorted keys, no temporary names inside a file.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pixelprune.errors import ArtifactError

if TYPE_CHECKING:
    import pandas
    import torch

AGAIN = "Run `dvc repro`, or `dvc pull` to fetch it."


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the name `path` only when the block ends without an error.

    Written beside its goal, flushed to the disk, then renamed: a killed stage leaves the old file or none.
    Raises ArtifactError where the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False)  # noqa: SIM115
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise ArtifactError(f"{path.parent}: cannot be written ({error.strerror}).") from None
    try:
        with handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.chmod(handle.name, 0o644)
        os.replace(handle.name, path)
    except BaseException:
        Path(handle.name).unlink(missing_ok=True)
        raise


def begin(folder: Path) -> None:
    """Takes away the card of an earlier result, which is written last: what is half new has none."""
    try:
        (folder / "card.json").unlink(missing_ok=True)
    except (PermissionError, NotADirectoryError) as error:
        raise ArtifactError(f"{folder}: cannot be written ({error.strerror}).") from None


def save_array(path: Path, array: NDArray[Any]) -> None:
    with atomic(path) as file:
        np.save(file, array, allow_pickle=False)


def load_array(path: Path, dtype: str, dims: str) -> NDArray[Any]:
    """An array of a previous stage, mapped read-only; checked against its contract, e.g. "float32", "N H W"."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file. {AGAIN}") from None
    except (ValueError, EOFError, OSError) as error:
        raise ArtifactError(f"{path}: not a whole .npy file ({error}). Delete it and run `dvc repro`.") from None
    if array.dtype != dtype or array.ndim != len(dims.split()):
        raise ArtifactError(f"{path}: found {array.dtype} {array.shape}, expected {dtype} ({dims}).")
    return array


def save_json(path: Path, content: object) -> None:
    """Keys sorted; floats as they are given (round before, where digits mean nothing)."""
    with atomic(path) as file:
        file.write((json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file. {AGAIN}") from None
    except ValueError as error:
        raise ArtifactError(f"{path}: not JSON ({error}). Delete it and run `dvc repro`.") from None


def save_text(path: Path, text: str) -> None:
    with atomic(path) as file:
        file.write(text.encode())


def save_table(path: Path, table: "pandas.DataFrame") -> None:
    """As parquet, without the index."""
    with atomic(path) as file:
        table.to_parquet(file, index=False, compression="zstd")


def load_table(path: Path) -> "pandas.DataFrame":
    import pandas
    import pyarrow

    try:
        return pandas.read_parquet(path)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file. {AGAIN}") from None
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise ArtifactError(f"{path}: not a whole parquet file ({error}). Delete it and run `dvc repro`.") from None


def save_tensors(path: Path, tensors: Mapping[str, "torch.Tensor"]) -> None:
    """As safetensors: names and plain numbers, nothing that could run."""
    from safetensors.torch import save

    with atomic(path) as file:
        file.write(save({name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}))


def load_tensors(path: Path) -> dict[str, "torch.Tensor"]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(path.read_bytes())
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file. {AGAIN}") from None
    except SafetensorError as error:
        raise ArtifactError(f"{path}: not a whole safetensors file ({error}). Delete it and run `dvc repro`.") from None
