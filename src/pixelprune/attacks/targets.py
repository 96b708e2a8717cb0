"""Which wrong classes a targeted attack aims at, and in which order."""

import torch
from torch import Tensor


def likeliest(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """The wrong classes with the largest logits, largest first: int64 (N, min(count, K - 1))."""
    wrong = logits.float().scatter(1, labels[:, None], -torch.inf)
    return wrong.topk(min(count, logits.shape[1] - 1)).indices
