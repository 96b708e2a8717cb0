"""How well a segment agrees with an annotation."""

import numpy as np
from numpy.typing import NDArray


def iou(probability: NDArray[np.floating], annotation: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Intersection over union of (probability > 0.5) and the annotation, float64 (N,) in [0, 1]; both empty: 1.

    probability: float (N, H, W). annotation: bool (N, H, W).
    """
    segment = probability > 0.5
    both = (segment & annotation).sum(axis=(1, 2))
    either = (segment | annotation).sum(axis=(1, 2))
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)
