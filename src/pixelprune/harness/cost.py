"""What a prediction costs: multiply-adds of convolutions and matrix products, forward and backward, by count.

A count and no stopwatch: the same on every machine, and it sees the gradients that a defense computes to predict.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


def multiply_adds(predict: Callable[[], Tensor]) -> int:
    """Of one call, gradients that it computes on its way included."""
    with _Counted() as counted, torch.no_grad():
        predict()
    return counted.operations // 2


class _Counted(TorchDispatchMode):
    """torch's own FlopCounterMode, without its table by module, which a gradient inside of a prediction breaks."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from torch.utils.flop_counter import flop_registry

        out = function(*args, **(kwargs or {}))
        count = flop_registry.get(function._overloadpacket)
        if count is not None:
            self.operations += int(count(*args, **(kwargs or {}), out_val=out))
        return out
