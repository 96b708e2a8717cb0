"""Reads a batch of a Python version of CIFAR as what it is, a list of opcodes, without running any.

A batch is a pickled dictionary of Python 2: "labels", or "fine_labels", -> list of small numbers, "data" -> an array
whose pixels stand in one long string. `pickletools.genops` decodes opcodes and their arguments and does nothing else.
"""

import pickletools

import numpy as np
from numpy.typing import NDArray

from pixelprune.errors import DataError

_NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"}
_BETWEEN = {"EMPTY_LIST", "LIST", "MARK", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "APPEND", "APPENDS"}
"""Opcodes that a list of numbers consists of, besides the numbers."""


def read_batch(
    content: bytes, where: str, width: int, key: str = "labels"
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Labels int64 (N,) of that key, and pixels uint8 (N, width). Raises DataError where the file is no batch."""
    labels: list[int] = []
    pixels, before = b"", ""
    listing = fortran = False
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if isinstance(argument, str | bytes) and opcode.name != "GLOBAL":
                listing = argument in (key, key.encode())
                if len(argument) > len(pixels) and len(argument) >= width:
                    pixels = argument.encode("latin-1") if isinstance(argument, str) else bytes(argument)
                    fortran = before == "NEWTRUE"  # the flag in front of an array's bytes
            elif listing and opcode.name in _NUMBERS:
                labels.append(int(argument))  # type: ignore[arg-type]
            elif listing and opcode.name not in _BETWEEN:
                listing = False
            before = opcode.name
    except (ValueError, IndexError, OverflowError, MemoryError) as error:
        raise DataError(f"{where}: not a whole pickle ({' '.join(str(error).split())}). Fetch it again.") from None
    if not labels or len(pixels) != len(labels) * width or fortran:
        raise DataError(
            f"{where}: found {len(labels)} labels and {len(pixels)} bytes of pixels, expected {width} bytes a label in "
            "row order. Fetch it again."
        )
    return np.asarray(labels, np.int64), np.frombuffer(pixels, np.uint8).reshape(-1, width)
