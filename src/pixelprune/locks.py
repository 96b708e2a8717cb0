"""What only one process at a time may have. The kernel lets go of it when the process ends, however it ends."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from pixelprune.errors import ArtifactError

FOLDER = Path(".pixelprune/state")


@contextmanager
def held(name: str, what: Path, wait: float | None) -> Iterator[bool]:
    """Yields whether another process had it first: then we say so, and wait, at most so many seconds where given.

    what: the folder that it is about, for messages. Raises ArtifactError where it is not ours after that time, or
    where the lock cannot be written.
    """
    lock = filelock.FileLock(FOLDER / f"{name}.lock")
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        waited = not _taken(lock, 0)
    except OSError as error:
        raise ArtifactError(f"{FOLDER}: cannot be written ({error.strerror}).") from None
    if waited:
        print(f"  another process is at this very work ({what}); waiting for it", file=sys.stderr)
        if not _taken(lock, wait):
            raise ArtifactError(f"{what}: still held after {wait:.0f} s. End that process, then run again.")
    try:
        yield waited
    finally:
        lock.release()


def _taken(lock: filelock.BaseFileLock, wait: float | None) -> bool:
    try:
        lock.acquire(timeout=-1 if wait is None else wait)
    except filelock.Timeout:
        return False
    return True
