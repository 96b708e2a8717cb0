"""Several processes at one stage: PIXELPRUNE_PROCESSES=2 python stages/attack.py ..., or the same under torchrun.

All of them do the same work but for what is shared out: chunks of attacked images, slices of a training batch. The
first one alone writes and speaks. On accelerators each has one of its own, else they share the cores.
"""

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from pixelprune.errors import ParamsError

VARIABLE = "PIXELPRUNE_PROCESSES"


def start() -> None:
    """Called first by a stage that can be shared. Starts the others, or joins them; alone, does nothing."""
    wanted = os.environ.get(VARIABLE, "1")
    if not re.fullmatch("[1-9][0-9]*", wanted):
        raise ParamsError(f"{VARIABLE}: found {wanted!r}, expected how many processes share a stage: 1, 2, ...")
    if "RANK" not in os.environ and int(wanted) > 1:
        raise SystemExit(_start_all(int(wanted)))
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        # What is counted lies on the CPU, also where models do not: nccl knows accelerators alone.
        # Who has no chunk to do waits for those who have: as long as it takes.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=timedelta(days=30))
        if not first():
            sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (open to the end)


def _start_all(processes: int) -> int:
    """Runs this very command in so many processes. Returns 0, or the exit status of the first that failed.

    A signal that ends this process is handed on to all of them, and the status is the one that a shell gives for it.
    """
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.disable()  # the stage says what is wrong
    sys.stdout.flush()
    try:
        run.run(run.parse_args(["--standalone", f"--nproc-per-node={processes}", *sys.argv]))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        status = failure.exitcode if failure.exitcode >= 0 else 128 - failure.exitcode
        spoke = 0 in error.failures and error.failures[0].exitcode > 0
        if not spoke:
            print(
                f"error: process {rank + 1} of {processes} ended with status {status}. Only the first one speaks: "
                f"{VARIABLE}=1 shows what went wrong.",
                file=sys.stderr,
            )
        return status
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def stop() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def count() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def first() -> bool:
    return rank() == 0


def on_this_machine() -> int:
    """How many of the processes run here."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if dist.is_initialized() else 1


def local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", "0")) if dist.is_initialized() else 0


def wait() -> None:
    """Until all are here."""
    if count() > 1:
        dist.barrier()


def owner(number: int) -> int:
    """Which process does this piece of the work."""
    return number % count()


def hand_out(values: Tensor, rows: Tensor, source: int) -> None:
    """values[rows] of process `source`, copied to all others, in place. rows: int64."""
    if count() > 1 and len(rows):
        part = values[rows].contiguous()
        dist.broadcast(part, source)
        values[rows] = part


def own_slice(size: int) -> slice:
    """This process's share of so many rows: parts that differ by one at most."""
    return slice(rank() * size // count(), (rank() + 1) * size // count())


def average(values: Iterable[Tensor]) -> None:
    """The mean over all processes, in place."""
    if count() > 1:
        for value in values:
            dist.all_reduce(value)
            value /= count()


@contextmanager
def written_once(out: Path) -> Iterator[Path]:
    """Where this process writes: `out` for the first, a folder that is thrown away for the others."""
    if first():
        yield out
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
