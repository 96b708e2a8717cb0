"""Networks of other packages, whose weights are drawn from torch's global generator: here it is one that was passed."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def drawn_from(generator: torch.Generator) -> Iterator[None]:
    """What draws from the global generator of the processor inside of the block goes on in `generator`'s stream.

    The global one stays as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(generator.get_state())
        yield
        generator.set_state(torch.get_rng_state())
