"""How far a perturbation map depends on settings that nobody can derive: its own agreement with itself, otherwise set.

Source: Brunke, Agrawal, George, "Evaluating Input Perturbation Methods for Interpreting CNNs and Saliency Map
Comparison", arXiv:2101.10977.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pixelprune.maps.catalog import Map
from pixelprune.maps.occlusion import Occlusion
from pixelprune.maps.rise import RISE
from pixelprune.measures.map_scores import Asked
from pixelprune.measures.ranks import spearman

ANY = "models/none/natural/0"
"""Options must name a run; the map gets its network from the caller."""


def variants(sizes: Sequence[int], strides: Sequence[int], masks: Sequence[int]) -> dict[str, dict[int, Map]]:
    """Setting -> value -> the map. RISE has another seed for each count: else the larger would hold the smaller."""
    return {
        "occlusion size": {size: Occlusion(name="occlusion", reads=ANY, size=size) for size in sizes},
        "occlusion stride": {stride: Occlusion(name="occlusion", reads=ANY, stride=stride) for stride in strides},
        "rise masks": {
            count: RISE(name="rise", reads=ANY, masks=count, seed=number) for number, count in enumerate(masks)
        },
    }


def agreement(asked: Asked, settings: dict[str, dict[int, Map]]) -> Iterator[tuple[str, int, int, NDArray[np.float64]]]:
    """For each setting and each two of its values: Spearman's rho of each image, (N,)."""
    for setting, entries in settings.items():
        maps = {value: asked.ranking(entry) for value, entry in entries.items()}
        for one, other in combinations(maps, 2):
            yield setting, one, other, spearman(maps[one], maps[other])
