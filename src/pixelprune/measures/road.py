"""ROAD: accuracy after pixels were removed and guessed from their neighbours, so that the mask itself tells nothing.

A removed pixel is the mean of its neighbours, 1/6 for each direct and 1/12 for each diagonal one, removed ones
included: a sparse linear system, solved exactly. A little noise on it hides that it was made.

Source: Rong, Leemann, Borisov, Kasneci, Kasneci, "A Consistent and Efficient Evaluation Strategy for Attribution
Methods", ICML 2022, section 4.2 and appendix, arXiv:2202.00449. At borders, the weights that are left sum to 1.
"""

from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import splu
from torch import Tensor

from pixelprune.draws import Draws
from pixelprune.errors import ParamsError
from pixelprune.measures.map_scores import Asked, Floats, kept, logits

DIRECT, DIAGONAL = 1 / 6, 1 / 12


def right(asked: Asked, ranking: Floats, shares: tuple[float, ...], noise: float, draws: Draws) -> NDArray[np.bool_]:
    """Whether the class is right without a share of the pixels, bool (2, shares, N): the first of the map, or the last.

    Most relevant first (MoRF) is to fall early, least relevant first (LeRF) to stay.
    """
    found = []
    for order in (ranking, -ranking):
        masks = [kept(order, share, torch.device("cpu")) for share in shares]
        filled = [imputed(asked.images, mask, noise, draws.branch(number)) for number, mask in enumerate(masks)]
        found.append([(logits(asked.network, images).argmax(1) == asked.labels).cpu().numpy() for images in filled])
    return np.array(found)


def imputed(images: Tensor, removed: Tensor, noise: float, draws: Draws) -> Tensor:
    """Images float32 (N, C, H, W) with other values in [0, 1] where removed, bool (N, 1, H, W), is true.

    noise: standard deviation of what is added there. At least one pixel of an image must be left: else ParamsError.
    """
    if bool(removed.flatten(1).all(1).any()):
        raise ParamsError("shares: ROAD needs a pixel of every image to guess the others from; give smaller ones")
    weights = neighbours(*images.shape[2:])
    values = images.detach().cpu().double().flatten(2).numpy()
    solved = [_solved(image, gone, weights) for image, gone in zip(values, removed.flatten(1).cpu().numpy())]
    guess = torch.from_numpy(np.stack(solved)).view(images.shape).to(images)
    guess = (guess + noise * draws.normal(*images.shape[1:])).clamp(0, 1)
    return torch.where(removed.to(images.device), guess, images)


def neighbours(height: int, width: int) -> csr_matrix:
    """Row i: the shares of the neighbours in the mean that stands for pixel i, (H W, H W); rows sum to 1."""
    place = np.arange(height * width).reshape(height, width)
    rows, columns, weights = [], [], []
    for down, across in product((-1, 0, 1), repeat=2):
        if (down, across) == (0, 0):
            continue
        here = place[max(-down, 0) : height - max(down, 0), max(-across, 0) : width - max(across, 0)]
        rows.append(here.ravel())
        columns.append(here.ravel() + down * width + across)
        weights.append(np.full(here.size, DIAGONAL if down and across else DIRECT))
    found = csr_matrix((np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))))
    return csr_matrix(diags(1 / found.sum(1).A1) @ found)


def _solved(values: NDArray[np.float64], gone: NDArray[np.bool_], weights: csr_matrix) -> NDArray[np.float64]:
    """The image (C, P) with the removed pixels at what their neighbours' mean makes of them."""
    found = values.copy()
    if gone.any():
        own = weights[gone]
        system = diags(np.ones(int(gone.sum()))) - own[:, gone]
        found[:, gone] = splu(system.tocsc()).solve(own[:, ~gone] @ values[:, ~gone].T).T
    return found
