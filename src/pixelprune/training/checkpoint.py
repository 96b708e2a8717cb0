"""Weights from elsewhere: read as plain numbers, and put into a network whose layers may be called a little otherwise.

Read are safetensors, state dicts that torch saved (only tensors are unpickled: a file with code in it is refused and
none of it runs) and archives of NumPy.
"""

import difflib
import io
import zipfile
from collections.abc import Collection, Mapping
from itertools import takewhile
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pixelprune.errors import ArtifactError

LIMIT = 2**34
"""Bytes that an archive may unpack to: the largest image classifiers that are published hold a quarter of it."""
NESTED = ("state_dict", "model_state_dict", "model", "net")
"""Where training scripts keep the state dict in a file that holds more."""
SHOWN = 3
"""Names that a message lists."""
KINDS = (
    torch.float16, torch.bfloat16, torch.float32, torch.float64,
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
)  # fmt: skip
"""Of numbers, as weights and counts are stored."""


def read(content: bytes, place: str) -> dict[str, Tensor]:
    """The tensors of a file by their names. place: what the file is called; its suffix tells the format.

    Raises ArtifactError for a file that is damaged, holds anything but named tensors, or numbers that are not finite.
    """
    suffix = PurePath(place).suffix
    if suffix not in _READERS:
        raise ArtifactError(f"{place}: found the suffix {suffix!r}, expected one of {', '.join(_READERS)}.")
    try:
        _check_size(content, place)
        found = _READERS[suffix](content)
    except ArtifactError:
        raise
    except Exception as error:  # whatever a damaged or hostile file makes a reader raise
        reason = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{place}: not a whole {suffix} file of plain tensors ({reason}). Get it again.") from None
    tensors = _state_dict(found, place)
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.dtype not in KINDS:
            raise ArtifactError(f"{place}: {name} is {tensor.dtype}, {tensor.layout}: expected plain numbers.")
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ArtifactError(f"{place}: {name} holds numbers that are not finite. Get the file again.")
    return tensors


def load_into(network: nn.Module, tensors: Mapping[str, Tensor], place: str) -> set[str]:
    """Puts the tensors into the network; returns the names of the constants of the network that they do not hold.

    A prefix that all names share (module.) may be there or not, and so may that of the part behind the normalization.
    Raises ArtifactError that names what is missing, unknown, or of another shape or kind of number.
    """
    wanted = network.state_dict()
    found = renamed(tensors, wanted)
    missing = sorted(_learned(network) - found.keys())
    unknown = sorted(found.keys() - wanted.keys())
    if missing or unknown:
        raise ArtifactError(
            f"{place}: not the weights of this architecture: {_listed('missing', missing, unknown)}; "
            f"{_listed('unknown', unknown, missing)}. Name the architecture that they were trained in."
        )
    unlike = [
        f"{name}: found {_form(tensor)}, expected {_form(wanted[name])}"
        for name, tensor in found.items()
        if tensor.shape != wanted[name].shape or tensor.is_floating_point() != wanted[name].is_floating_point()
    ]
    if unlike:
        raise ArtifactError(
            f"{place}: not the weights of this architecture: {'; '.join(unlike[:SHOWN])}"
            f"{_more(unlike)}. Name the architecture, its options and the classes that they were trained with."
        )
    network.load_state_dict(wanted | found)
    return wanted.keys() - found.keys()


def renamed(tensors: Mapping[str, Tensor], wanted: Collection[str]) -> dict[str, Tensor]:
    """Under the names that the most of are wanted: without prefixes that all share, or behind one of the network's."""
    parts = [name.split(".") for name in tensors]
    shared = sum(1 for _ in takewhile(lambda words: len(set(words)) == 1, zip(*(words[:-1] for words in parts))))
    bare = [[".".join(words[drop:]) for words in parts] for drop in range(shared + 1)]
    before = dict.fromkeys(["", *(f"{name.split('.')[0]}." for name in wanted)])
    choices = [[prefix + name for name in names] for names in bare for prefix in before]
    best = max(choices, key=lambda names: sum(name in wanted for name in names))
    return dict(zip(best, tensors.values(), strict=True))


def _safetensors(content: bytes) -> Any:
    from safetensors.torch import load

    return load(content)


def _torch(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _numpy(content: bytes) -> Any:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: torch.from_numpy(np.asarray(archive[name])) for name in archive.files}


_READERS = {".safetensors": _safetensors, ".pt": _torch, ".pth": _torch, ".npz": _numpy}


def _check_size(content: bytes, place: str) -> None:
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > LIMIT:
        raise ArtifactError(f"{place}: unpacks to {size:,} bytes, expected at most {LIMIT:,}.")


def _state_dict(found: Any, place: str) -> dict[str, Tensor]:
    """`found` itself, or the one that it holds."""
    inner = [found] + [found[key] for key in NESTED if isinstance(found, Mapping) and key in found]
    for part in inner:
        if isinstance(part, Mapping) and part and all(isinstance(value, Tensor) for value in part.values()):
            return {str(name): value for name, value in part.items()}
    has = (
        f"a mapping of {', '.join(map(repr, list(found)[:5]))}" if isinstance(found, Mapping) else type(found).__name__
    )
    raise ArtifactError(
        f"{place}: found {has}, expected names of tensors, or a mapping that holds them as {' or '.join(NESTED)}."
    )


def _learned(network: nn.Module) -> set[str]:
    """The names of all that a training changes: parameters, and the statistics of BatchNorm but its count of steps."""
    names = {name for name, _ in network.named_parameters(remove_duplicate=False)}
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.running_mean is not None:
            names |= {f"{name}.running_mean", f"{name}.running_var"}
    return names


def _listed(what: str, names: list[str], others: list[str]) -> str:
    """The first of the names, each with the nearest of the others."""
    if not names:
        return f"nothing {what}"
    near = [difflib.get_close_matches(name, others, n=1) for name in names[:SHOWN]]
    shown = [f"{name} (near: {match[0]})" if match else name for name, match in zip(names, near)]
    return f"{what} {', '.join(shown)}{_more(names)}"


def _more(items: list[str]) -> str:
    return f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
