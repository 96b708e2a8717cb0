"""Does a posterior's doubt tell attacked images from clean ones: the area under the ROC curve, a way and a score each.

Only images that a way broke are asked about beside their clean versions: an attack that failed leaves little to detect.
Source: Feng et al., "Attacking Bayes: On the Adversarial Robustness of Bayesian Neural Networks", arXiv:2404.19640,
section 5.
"""

from collections.abc import Mapping

import numpy as np
import pandas
from numpy.typing import NDArray

from pixelprune.evaluation.uncertainty import auroc, mutual_information, predictive_entropy
from pixelprune.harness.behind import Verdict

SCORES = {"predictive entropy": predictive_entropy, "mutual information": mutual_information}


def measure(
    clean: Verdict, attacked: Mapping[str, Verdict], groups: NDArray[np.int64], generator: np.random.Generator
) -> pandas.DataFrame:
    """A row a way x score: way, score, broken (images), auroc, low, high; a way that broke none has no row.

    attacked: the verdicts on the points of each way, on the first images of `clean`. An image that is wrong as it is
    takes no part.
    """
    lines = []
    for way, verdict in attacked.items():
        count = verdict.each.shape[1]
        broken = (clean.by_mean[:count] & ~verdict.by_mean).cpu().numpy()
        if not broken.any():
            continue
        pair = [each[:, :count].cpu().numpy()[:, broken] for each in (clean.each, verdict.each)]
        is_attacked = np.repeat([False, True], int(broken.sum()))
        both = np.concatenate([groups[:count][broken]] * 2)
        for name, score in SCORES.items():
            area = auroc(np.concatenate([score(each) for each in pair]), is_attacked, both, generator)
            lines.append((way, name, int(broken.sum()), area.value, area.low, area.high))
    return pandas.DataFrame(lines, columns=["way", "score", "broken", "auroc", "low", "high"])
