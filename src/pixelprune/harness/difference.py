"""How far the logits of two passes lie apart.

Source: the randomness check of Croce & Hein, ICML 2020, arXiv:2003.01690, on L2-normalized logits. Here both passes are
divided by the length of the first: with each by its own, two classes whose logits are opposite show nothing but flips.
"""

import torch
from torch import Tensor


def difference(one: Tensor, other: Tensor) -> float:
    """The largest of |one - other| in units of an image's ||one||_2; both are (n, K) logits of the same images."""
    length = one.norm(dim=1, keepdim=True).clamp(min=torch.finfo(one.dtype).tiny)
    return ((one - other) / length).abs().max().item()
