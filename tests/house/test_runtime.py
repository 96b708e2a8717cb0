"""What a stage decides about its process. In a process of its own, for the decisions cannot be taken back."""

import subprocess
import sys

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
