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
