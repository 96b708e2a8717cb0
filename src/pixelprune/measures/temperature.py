"""The temperature at which a model's probabilities fit the labels best: logits of any scale then mean the same.

Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2, arXiv:1706.04599.
"""

from dataclasses import dataclass

from torch import Tensor

WIDEST = 1e3
"""By how much the temperature may differ from the spread of the logits, up or down."""
HALVINGS = 60


@dataclass(frozen=True)
class Temperature:
    value: float
    inside: bool
    """Whether a minimum lies within the bounds: not where every label is right, or where labels look like chance."""


def calibrated(logits: Tensor, labels: Tensor) -> Temperature:
    """Minimizes the negative log-likelihood of logits / temperature; logits float32 (N, K), labels int64 (N,), N >= 1.

    It is convex in 1 / temperature: its derivative, the mean of (expected logit - the label's), has one root, which is
    found by bisection. Logits that are s times as large have a temperature s times as large.
    """
    logits = logits.double()
    spread = float((logits - logits.mean(1, keepdim=True)).square().mean().sqrt())
    if spread == 0:
        return Temperature(1.0, False)
    scaled = logits / spread
    right = scaled.gather(1, labels[:, None]).squeeze(1)

    def slope(inverse: float) -> float:
        return float(((scaled * inverse).softmax(1) * scaled).sum(1).sub(right).mean())

    low, high = 1 / WIDEST, WIDEST
    inside = slope(low) < 0 < slope(high)
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return Temperature(spread / (low * high) ** 0.5, inside)
