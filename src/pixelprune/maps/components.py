"""The leading principal components of images: exact, in float64, the images read block by block."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, eigsh

DENSE = 4096
"""Largest side of a matrix that is built and decomposed directly; beyond it Lanczos multiplies block by block."""

Floats = NDArray[np.float64]


def principal_components(images: NDArray[np.uint8], count: int) -> tuple[Floats, Floats, Floats]:
    """Mean (d,), variances (r,) from large to small and orthonormal components (d, r) of images uint8 (N, ...).

    d numbers an image, in units of 1/255 turned to [0, 1]; variance over N (not N - 1). r = min(count, d, N).
    Works on the pixel covariance where d <= N, else on the Gram matrix of the images.
    """
    total = len(images)
    pixels = images.reshape(total, -1)
    size = pixels.shape[1]
    count = min(count, size, total)
    mean = pixels.sum(0, dtype=np.int64) / (255 * total)
    if size <= min(total, DENSE):
        covariance = np.zeros((size, size))
        for block in _centered(pixels, mean):
            covariance += block.T @ block
        values, vectors = eigh(covariance / total, subset_by_index=(size - count, size - 1))
        return mean, values[::-1].clip(0), vectors[:, ::-1]
    if total <= DENSE:
        values, weights = eigh(_gram(pixels, mean) / total, subset_by_index=(total - count, total - 1))
        return mean, values[::-1].clip(0), _back(pixels, mean, weights[:, ::-1])
    product = LinearOperator(
        (size, size), lambda v: sum(block.T @ (block @ v) for block in _centered(pixels, mean)) / total, dtype=float
    )
    values, vectors = eigsh(product, k=count, v0=np.ones(size))
    order = np.argsort(-values)
    return mean, values[order].clip(0), vectors[:, order]


def _centered(pixels: NDArray[np.uint8], mean: Floats, rows: int = 512) -> Iterator[Floats]:
    for start in range(0, len(pixels), rows):
        yield pixels[start : start + rows] / 255.0 - mean


def _gram(pixels: NDArray[np.uint8], mean: Floats) -> Floats:
    """Inner products of all pairs of centered images, (N, N), summed over slices of pixels."""
    gram = np.zeros((len(pixels), len(pixels)))
    for start in range(0, pixels.shape[1], 2048):
        part = slice(start, start + 2048)
        block = pixels[:, part] / 255.0 - mean[part]
        gram += block @ block.T
    return gram


def _back(pixels: NDArray[np.uint8], mean: Floats, weights: Floats) -> Floats:
    """Components (d, r) of the eigenvectors (N, r) of the Gram matrix; zero where there is no variance."""
    vectors = np.zeros((pixels.shape[1], weights.shape[1]))
    start = 0
    for block in _centered(pixels, mean):
        vectors += block.T @ weights[start : start + len(block)]
        start += len(block)
    length = np.linalg.norm(vectors, axis=0)
    return np.where(length > 1e-9 * max(length.max(), 1e-300), vectors / length.clip(1e-300), 0)
