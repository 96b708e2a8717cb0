"""How a stage script or command starts, speaks and fails."""

import inspect
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from pixelprune.errors import PixelpruneError

T = TypeVar("T")


def run(main: Callable[..., None], usage: str) -> None:
    """Calls main with the words of the command line.

    Exit status: 0 done, 1 a bug (with its traceback), 2 the user's mistake (one message on stderr, no traceback).
    """
    words = sys.argv[1:]
    try:
        inspect.signature(main).bind(*words)
    except TypeError:
        print(usage.strip(), file=sys.stderr)
        raise SystemExit(2) from None
    with reporting_mistakes():
        main(*words)


class reporting_mistakes:  # noqa: N801 - reads as a statement: `with reporting_mistakes():`
    """Turns a PixelpruneError into one message on stderr and exit status 2."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PixelpruneError):
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yields the items and shows how far and how long: a bar on a terminal, else a line at every tenth.

    Work that ends within two seconds says nothing in a log.
    """
    if total is None:
        total = len(items)  # type: ignore[arg-type]
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=what, total=total, leave=False)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        tenth = done * 10 // total > (done - 1) * 10 // total
        if tenth and done < total and now - start > 2 and now - last > 1:
            last = now
            print(f"  {what}: {done}/{total}, {(now - start) / done * (total - done):.0f} s left", file=sys.stderr)
