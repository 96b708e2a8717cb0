"""What a stage does around its work: its folder is its own, what it reads stays as it was, its time is noted.

DVC empties a stage's folder before the stage runs, and hashes sources and params after it: what is edited in between
would be recorded as what the result was made from, and nothing would run again.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pixelprune import cli, closure, locks, params
from pixelprune.errors import ArtifactError

PACKAGE = Path(__file__).parent


@contextmanager
def running(name: str, out: Path, wait: float = 600) -> Iterator[None]:
    """Around the work of the stage that DVC calls `name`, which ends in the folder `out`.

    A stage whose dvc was killed may still be writing there, maybe with other params: then we wait for it, at most so
    many seconds. Raises ArtifactError where that is not enough, and where a source file of this process or an entry of
    params.yaml that it has read is edited meanwhile. Of the processes that share a stage the first does all this.
    """
    if os.environ.get("RANK", "0") != "0":  # torchrun's word: torch is not loaded for its sake
        yield
        return
    try:
        with locks.held(out.as_posix().replace("/", "-"), out, wait) as waited:
            if waited:  # what it has left would be taken for ours
                shutil.rmtree(out, ignore_errors=True)
            sources = _sources()
            with cli.timed(name):
                yield
                _refuse(params.edited() + _edited(sources))
    finally:
        params.forget()


def _refuse(edited: list[str]) -> None:
    if edited:
        raise ArtifactError(
            f"{', '.join(edited)}: edited while this stage ran, and DVC would take its result for that of the edit. "
            "Run again."
        )


def _sources() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in PACKAGE.rglob("*.py")}


def _edited(before: Mapping[Path, bytes]) -> list[str]:
    """Those that this process has loaded and that do something else now."""
    loaded = {Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
    now = {path: path.read_bytes() if path.is_file() else b"" for path in loaded & set(before)}
    return [
        os.path.relpath(path) for path in sorted(now)
        if now[path] != before[path] and not closure.alike(before[path], now[path])
    ]  # fmt: skip
