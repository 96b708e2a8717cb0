"""What a prediction costs: multiply-adds of convolutions and matrix products, forward and backward, by count.

A count and no stopwatch: the same on every machine, and it sees the gradients that a defense computes to predict.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def multiply_adds(predict: Callable[[], Tensor]) -> int:
    """Of one call, gradients included."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counted, torch.no_grad():
        predict()
    return int(counted.get_total_flops()) // 2
