"""Image files to uint8 RGB arrays of one size; what is damaged or too large is refused, never half read."""

import io
import warnings
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from pixelprune import compat
from pixelprune.errors import DataError

PIXELS = 50_000_000
"""The largest photo that is decoded; a small file can claim billions of pixels."""


def decode(content: bytes, where: str, *, upright: bool = False) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) RGB; one-channel images have three equal channels.

    upright: turns a photo as its EXIF entry asks. Raises DataError that names `where`.
    """
    cv2 = compat.cv2()
    flags = cv2.IMREAD_COLOR | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    image: NDArray[np.uint8] = cv2.cvtColor(_decoded(content, where, flags), cv2.COLOR_BGR2RGB)
    return image


def decode_mask(content: bytes, where: str) -> NDArray[np.bool_]:
    """bool (H, W): brighter than half of the brightest pixel, so that masks of 0/1, 0/255 and 0/65535 all work.

    Raises DataError that names `where`; of a mask with an alpha channel, too: either of the two could be meant.
    """
    cv2 = compat.cv2()
    mask = _decoded(content, where, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    channels = mask.shape[2] if mask.ndim == 3 else 1
    if channels in (2, 4):
        raise DataError(
            f"{where}: found a mask with an alpha channel, expected one channel, or three. Replace the file."
        )
    brightness = mask.max(axis=2) if channels == 3 else mask.reshape(mask.shape[:2])
    return np.asarray(brightness > brightness.max() / 2)


def _decoded(content: bytes, where: str, flags: int) -> NDArray[Any]:
    cv2 = compat.cv2()
    height, width = _measured(content, where)
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None or sorted(image.shape[:2]) != sorted((height, width)):
        raise DataError(f"{where}: not an image that can be read. Replace the file.")
    return np.asarray(image)


def resized(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(H, W, 3) or (H, W) -> (size, size, ...): area mean along a side that shrinks, cubic along one that grows."""
    return _resized(np.ascontiguousarray(image), size, compat.cv2().INTER_CUBIC)


def resized_mask(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """bool (H, W) -> bool (size, size): true where at least half of a pixel's area is."""
    covered: NDArray[np.bool_] = _resized(mask.astype(np.float32), size, compat.cv2().INTER_LINEAR) >= 0.5
    return covered


def _resized(image: NDArray[Any], size: int, growing: int) -> NDArray[Any]:
    """Sides that shrink first: OpenCV averages areas only where no side grows. growing: its flag for those that do."""
    cv2 = compat.cv2()
    height, width = (min(side, size) for side in image.shape[:2])
    if image.shape[:2] != (height, width):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return image if (height, width) == (size, size) else cv2.resize(image, (size, size), interpolation=growing)


def _measured(content: bytes, where: str) -> tuple[int, int]:
    """Height and width, of a file that is whole: OpenCV may fill what is missing with grey."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            with PIL.Image.open(io.BytesIO(content)) as image:
                width, height = image.size
                if not 0 < width * height <= PIXELS:
                    raise DataError(
                        f"{where}: found {width} x {height} pixels, expected 1 to {PIXELS}. Shrink the image."
                    )
                _refuse_cut(image, where)
    except PIL.Image.DecompressionBombError:
        raise DataError(f"{where}: found too many pixels, expected at most {PIXELS}. Shrink the image.") from None
    except (OSError, SyntaxError, ValueError, OverflowError):
        raise DataError(f"{where}: not an image that can be read. Replace the file.") from None
    return height, width


def _refuse_cut(image: PIL.Image.Image, where: str) -> None:
    try:
        image.load()
    except OSError:
        raise DataError(f"{where}: the image is damaged or ends too early. Replace the file.") from None
