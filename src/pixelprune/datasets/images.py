"""Image files to uint8 RGB arrays of one size; what is damaged or too large is refused, never half read."""

import io
import warnings

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from pixelprune import compat
from pixelprune.errors import DataError

PIXELS = 50_000_000
"""The largest photo that is decoded; a small file can claim billions of pixels."""


def decode(content: bytes, where: str, *, upright: bool = False, grey: bool = False) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) RGB, or (H, W) if grey; one-channel images have three equal channels.

    upright: turns a photo as its EXIF entry asks. Raises DataError that names `where`.
    """
    cv2 = compat.cv2()
    height, width = _measured(content, where)
    flags = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
    flags |= 0 if upright else cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None or sorted(image.shape[:2]) != sorted((height, width)):
        raise DataError(f"{where}: not an image that can be read. Replace the file.")
    return image if grey else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def resized(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(H, W, 3) or (H, W) -> (size, size, ...): area mean when it shrinks, cubic when it grows."""
    cv2 = compat.cv2()
    if image.shape[:2] == (size, size):
        return image
    shrinks = min(image.shape[:2]) >= size
    result: NDArray[np.uint8] = cv2.resize(
        np.ascontiguousarray(image), (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )
    return result


def resized_mask(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """bool (H, W) -> bool (size, size): true where at least half of a pixel's area is."""
    cv2 = compat.cv2()
    shrinks = min(mask.shape) >= size
    share = cv2.resize(
        mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    covered: NDArray[np.bool_] = share >= 0.5
    return covered


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
