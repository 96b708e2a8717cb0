"""How a stage script or command starts, speaks and fails."""

import errno
import inspect
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from pixelprune.errors import PixelpruneError

T = TypeVar("T")

# Threads that wait for their turn may spin for a moment only: with the default of torch's OpenMP (GNU), threads of two
# processes starve each other, and a stage takes ten times as long. Read when torch is loaded, so set here.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

TIMINGS = Path(".pixelprune/seconds")
"""Of each stage a file: stages that end at the same time do not meet."""


def run(main: Callable[..., None], usage: str) -> None:
    """Calls main with the words of the command line.

    Exit status: 0 done, 1 a bug (with its traceback), 2 the user's mistake (one message on stderr, no traceback).
    `--help` prints the usage.
    """
    words = sys.argv[1:]
    if words in (["-h"], ["--help"]):
        print(usage.strip())
        return
    try:
        inspect.signature(main).bind(*words)
    except TypeError:
        print(usage.strip(), file=sys.stderr)
        raise SystemExit(2) from None
    with reporting_mistakes():
        main(*words)


class reporting_mistakes:
    """Turns a PixelpruneError, a full disk and a closed file into one message on stderr and exit status 2.

    Interrupted by the keyboard: one line, 130. The reader of our output went away (`| head`): silence, 141.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            sys.stdout.flush()
        except BrokenPipeError as broken:
            error = error or broken
        if isinstance(error, PixelpruneError) and os.environ.get("RANK", "0") != "0":
            time.sleep(2)  # the first process, which alone speaks, would be ended before it makes the same mistake
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more
            raise SystemExit(141) from None
        if isinstance(error, KeyboardInterrupt):
            print("interrupted", file=sys.stderr)
            raise SystemExit(130) from None
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            place = f"{error.filename}: " if error.filename else ""
            print(
                f"error: {place}{error.strerror}. Nothing is left half-written; make room and run again.",
                file=sys.stderr,
            )
            raise SystemExit(2) from None
        if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES):
            print(f"error: {error.filename}: {error.strerror}.", file=sys.stderr)
            raise SystemExit(2) from None
        if isinstance(error, PixelpruneError):
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Writes how long the block took, in seconds, into the file of the stage in .pixelprune/seconds.

    Only where the block ends without an error. Times are no results: where they cannot be written, nothing happens.
    """
    start = time.monotonic()
    yield
    seconds = round(time.monotonic() - start, 2)
    with suppress(OSError):
        TIMINGS.mkdir(parents=True, exist_ok=True)
        (TIMINGS / stage).write_text(f"{seconds}\n", encoding="utf-8")


def times(study: Path) -> dict[str, float]:
    """Seconds by stage, of its last run on this machine: a stage that DVC took from its cache has none."""
    found = {}
    for file in sorted((study / TIMINGS).glob("*")):
        with suppress(OSError, ValueError):
            found[file.name] = float(file.read_text(encoding="utf-8"))
    return found


def progress(
    items: Iterable[T], what: str, total: int | None = None, state: Callable[[], str] = lambda: ""
) -> Iterator[T]:
    """Yields the items and shows how far and how long: a bar on a terminal, else a line at every tenth.

    state: asked for what else to say at that time. Work that ends within two seconds says nothing in a log.
    """
    if total is None:
        total = len(items)  # type: ignore[arg-type]
    if sys.stderr.isatty():
        from tqdm import tqdm

        bar = tqdm(items, desc=what, total=total, leave=False)
        for item in bar:
            yield item
            bar.set_postfix_str(state(), refresh=False)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        tenth = done * 10 // total > (done - 1) * 10 // total
        if tenth and done < total and now - start > 2 and now - last > 1:
            last = now
            words = [f"{done}/{total}", f"{(now - start) / done * (total - done):.0f} s left", state()]
            print(f"  {what}: {', '.join(filter(None, words))}", file=sys.stderr)


def teller(what: str) -> Callable[[str], None]:
    """Prints a line about long work when it is called, and for how long it runs; nothing in its first two seconds."""
    start = time.monotonic()

    def tell(words: str) -> None:
        seconds = time.monotonic() - start
        if seconds > 2:
            print(f"  {what}: {words}, {seconds:.0f} s", file=sys.stderr)

    return tell
