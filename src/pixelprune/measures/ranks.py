"""How far two orders agree: Spearman's rho image by image, and Kendall's tau-b."""

import numpy as np
from numpy.typing import NDArray


def spearman(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of each image, between maps (N, H, W): the correlation of ranks, in [-1, 1]; equal values share their mean rank.

    0 where one of the two is the same everywhere: it orders nothing.
    """
    from scipy.stats import rankdata  # takes a second to import

    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (first, second)]
    one, other = (rank - rank.mean(1, keepdims=True) for rank in ranks)
    size = np.sqrt((one**2).sum(1) * (other**2).sum(1))
    return np.asarray((one * other).sum(1) / np.maximum(size, 1e-30))


def tau(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Kendall's tau-b of two lists (M,), in [-1, 1]; 0 where one of them is the same everywhere, or has one entry.

    Source: Kendall, "The treatment of ties in ranking problems", Biometrika 33(3), 1945.
    """
    if len(set(first)) < 2 or len(set(second)) < 2:
        return 0.0
    from scipy.stats import kendalltau

    return float(kendalltau(first, second).statistic)
