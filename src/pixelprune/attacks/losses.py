"""Losses that attacks climb, one value per image: logits (N, K), labels int64 (N,) -> float32 (N,)."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


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


LossName = Literal["log_odds", "cross_entropy", "margin"]
LOSSES: dict[LossName, Loss] = {"log_odds": log_odds, "cross_entropy": cross_entropy, "margin": margin}
