"""Losses that attacks climb, one value per image: logits (N, K), labels int64 (N,) -> float32 (N,)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
TINY = 1e-12


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits.float(), labels, reduction="none")


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """The log odds of being wrong: log-sum-exp of the wrong logits minus the right one.

    Cross-entropy is log(1 + exp(log odds)), so both rise steepest along the same direction; but where the softmax is
    nearly 1 the gradient of cross-entropy vanishes in float32, and this one's does not.
    """
    logits = logits.float()
    wrong = logits.scatter(1, labels[:, None], -torch.inf).logsumexp(1)
    return wrong - logits.gather(1, labels[:, None]).squeeze(1)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Best wrong logit minus the right one: positive exactly where the image is misclassified. Any K >= 2."""
    logits = logits.float()
    right = logits.gather(1, labels[:, None]).squeeze(1)
    wrong = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    return wrong - right


def dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """Difference of logits ratio: the margin over the gap between the first and the third logit. K = 2: the margin.

    Neither the scale nor a shift of the logits changes it. Source: Croce & Hein, "Reliable evaluation of adversarial
    robustness ...", ICML 2020, equation 6, arXiv:2003.01690.
    """
    if logits.shape[1] < 3:
        return margin(logits, labels)
    top = logits.float().topk(3).values
    return margin(logits, labels) / (top[:, 0] - top[:, 2] + TINY)


LossName = Literal["log_odds", "cross_entropy", "margin", "dlr"]
LOSSES: dict[LossName, Loss] = {"log_odds": log_odds, "cross_entropy": cross_entropy, "margin": margin, "dlr": dlr}


def margin_to(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Logit of the target class minus the right one; targets int64 (N,)."""
    logits = logits.float()
    return (logits.gather(1, targets[:, None]) - logits.gather(1, labels[:, None])).squeeze(1)


def dlr_to(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """The targeted difference of logits ratio (Croce & Hein, equation 7). K < 4: the margin to the target."""
    if logits.shape[1] < 4:
        return margin_to(logits, labels, targets)
    top = logits.float().topk(4).values
    return margin_to(logits, labels, targets) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + TINY)


TargetedName = Literal["margin", "dlr"]
TargetedLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
TARGETED: dict[TargetedName, TargetedLoss] = {"margin": margin_to, "dlr": dlr_to}


@dataclass(frozen=True)
class Towards:
    """A loss that leads each image to a class of its own; narrowed as models are."""

    loss: TargetedLoss
    targets: Tensor
    """int64 (N,)"""

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.loss(logits, labels, self.targets)

    def narrow(self, index: Tensor) -> "Towards":
        return Towards(self.loss, self.targets[index])
