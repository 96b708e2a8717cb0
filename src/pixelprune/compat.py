"""The two packages whose import can fail on a healthy machine, each with its cure. Nothing else imports them."""

import re
import sys
from types import ModuleType

from pixelprune.errors import PixelpruneError

PACKAGES = {"libGL.so.1": "libgl1", "libgthread-2.0.so.0": "libglib2.0-0", "libglib-2.0.so.0": "libglib2.0-0"}
"""System library that OpenCV loads -> the Debian package that holds it."""

_MISSING = re.compile(r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object file")
_NMS = "operator torchvision::nms does not exist"
_declared: list[object] = []  # torch forgets a declaration with the object that made it


def cv2() -> ModuleType:
    """OpenCV on one thread: images are small, torch already uses every core, and one thread keeps one order of sums.

    Raises PixelpruneError that names the system package where a library of the system is missing.
    """
    try:
        import cv2
    except ImportError as error:
        missing = _MISSING.search(str(error))
        if not missing:
            raise
        package = PACKAGES.get(missing[1])
        cure = f"install the package {package}" if package else f"install the package that holds {missing[1]}"
        raise PixelpruneError(
            f"OpenCV cannot start: {missing[1]} is missing; {cure} (Debian: apt-get install libgl1 libglib2.0-0)."
        ) from None
    cv2.setNumThreads(1)
    return cv2


def torchvision() -> ModuleType:
    """torchvision, also where its compiled operators do not load (a CUDA build of it beside a CPU build of torch).

    Its Python code then asks for the declarations of two operators, which are given here without an implementation:
    data sets, models and transforms work; `ops.nms` and detection models say that the operators are missing.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if _NMS not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]  # halves of the failed import
        _declare()
        import torchvision
    return torchvision


def probe() -> None:
    """Raises PixelpruneError where this machine lacks what the two packages need."""
    cv2()
    torchvision()


def _declare() -> None:
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
