"""What a stage decides about its process. In a process of its own, for the decisions cannot be taken back."""

import os
import subprocess
import sys

import pytest

FIRST_EXP = """
from torch.utils._python_dispatch import TorchDispatchMode
from pixelprune import runtime

class Sizes(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if "exp" in str(function):
            print(args[0].numel())
        return function(*args, **(kwargs or {}))

with Sizes():
    runtime.prepare()
"""


def test_vector_mathematics_is_first_called_by_one_thread() -> None:
    """The race itself is too rare to wait for: here, that the call is made, and on too little to be shared out."""
    done = subprocess.run([sys.executable, "-c", FIRST_EXP], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]


@pytest.mark.parametrize("threads", ["1", None])
def test_a_stage_has_a_thread_a_core_unless_told(threads: str | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = threads
    code = """
import os, torch
from pixelprune import runtime
runtime.prepare()
print(torch.get_num_threads(), len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    found, cores = done.stdout.split()
    assert found == (threads or cores)


GRADIENTS = """
import copy, torch
from torch import nn
from pixelprune import runtime

torch.manual_seed(0)
images = torch.rand(32, 3, 16, 16)
for channels in range(2, 33):
    network = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.Conv2d(channels, 5, 1, stride=2), nn.Flatten())
    exact = copy.deepcopy(network).double()
    runtime.channels_last(network)
    for each, own in ((network, images.contiguous(memory_format=torch.channels_last)), (exact, images.double())):
        each(own).square().sum().backward()
    pairs = [(weight.grad, true.grad) for weight, true in zip(network.parameters(), exact.parameters())]
    print(channels, max(((found - true).abs().max() / true.abs().max()).item() for found, true in pairs))
"""


@pytest.mark.parametrize("registers", ["AVX2", "AVX512_CORE"])
def test_gradients_in_the_faster_layout_are_right_whatever_the_processor(registers: str) -> None:
    """Those of a network in float64 and the usual layout. A processor without such registers uses what it has."""
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": registers}
    done = subprocess.run(
        [sys.executable, "-c", GRADIENTS], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    found = dict(line.split() for line in done.stdout.splitlines())
    assert len(found) == 31
    assert [channels for channels, error in found.items() if float(error) > 1e-4] == []
