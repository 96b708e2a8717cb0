"""Random draws that belong to a seed and an image, never to a batch, an order or a process."""

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray


def numpy_generator(*words: int | str) -> np.random.Generator:
    """A generator that is a function of the words alone, e.g. (seed, "shift", image id)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(_entropy(words))))


def torch_generator(*words: int | str, device: str | torch.device = "cpu") -> torch.Generator:
    """As numpy_generator, for torch."""
    seed = int(np.random.SeedSequence(_entropy(words)).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator(device=device).manual_seed(seed)


def uniform_per_image(ids: NDArray[np.int64], shape: tuple[int, ...], *words: int | str) -> NDArray[np.float32]:
    """Uniform numbers in [0, 1), float32 (N, *shape); row i depends on ids[i] and the words alone."""
    rows = [numpy_generator(*words, int(image)).random(shape, dtype=np.float32) for image in ids]
    return np.stack(rows) if rows else np.empty((0, *shape), np.float32)


def stratified(labels: NDArray[np.integer], count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Sorted positions of `count` images, each class with its share to within one image. All where count >= N."""
    if count >= len(labels):
        return np.arange(len(labels))
    order = generator.permutation(len(labels))
    rank_in_class = np.empty(len(labels))
    for label in np.unique(labels):
        own = order[labels[order] == label]
        rank_in_class[own] = (np.arange(len(own)) + 0.5) / len(own)
    position = np.empty(len(labels))
    position[order] = np.arange(len(labels))
    return np.sort(np.lexsort((position, rank_in_class))[:count])


def attacked(labels: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Positions of the test images that are attacked, each class with its share, in random order.

    The first of them are a sample as well. They do not depend on the run: runs are compared image by image.
    """
    generator = numpy_generator(0, "attacked")
    chosen = stratified(labels, count, generator)
    return np.asarray(generator.permutation(chosen))


def _entropy(words: tuple[int | str, ...]) -> int:
    """128 bits of all words. SeedSequence alone takes (0,) and (0, 0), or 2**32 and (0, 1), for the same."""
    text = repr([word if isinstance(word, str) else int(word) for word in words])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
