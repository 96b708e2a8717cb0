"""Downloads a file: with progress, resumed after a break, verified before it gets its name."""

import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

import requests

from pixelprune.datasets.archives import is_page
from pixelprune.datasets.options import Progress
from pixelprune.errors import DataError

CHUNK = 2**16
"""Bytes; what has arrived of a chunk is lost when the transfer breaks."""
LARGEST = 2**35
ATTEMPTS = 4
PAUSE = 2.0
"""Seconds before another attempt."""
TIMEOUT = (15, 60)
"""Seconds to connect, seconds without a byte."""

INSTEAD = "Try again later, or set PIXELPRUNE_MIRROR to a folder or an address that has it."


def download(address: str, goal: Path, checksum: str | None, progress: Progress) -> Path:
    """Fetches `address` as `goal`; what is there already stays, but for a copy with another checksum.

    checksum: "md5:..." or the like, None where none is known. Bytes arrive in goal.part; a broken transfer is resumed,
    now and at the next call. Raises DataError: no connection, refused, a web page, another size, another checksum.
    """
    part = goal.with_name(f"{goal.name}.part")
    try:
        if goal.exists():
            if checksum is None or digest(goal, checksum.split(":")[0], progress) == checksum:
                return goal
            goal.unlink()
        goal.parent.mkdir(parents=True, exist_ok=True)
        if checksum is None:
            part.unlink(missing_ok=True)
        _transfer_patiently(address, part, progress)
        if checksum is not None:
            found = digest(part, checksum.split(":")[0], progress)
            if found != checksum:
                part.unlink()
                raise DataError(f"{address}: found {found}, expected {checksum}. The copy was deleted. {INSTEAD}")
        part.replace(goal)
    except OSError as error:
        raise DataError(f"{part}: cannot be written ({error.strerror or error}).") from None
    return goal


def digest(path: Path, algorithm: str, progress: Progress) -> str:
    """As "sha256:0f3a..."."""
    total = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        blocks = _Sized(iter(lambda: file.read(CHUNK), b""), path.stat().st_size)
        for block in progress(blocks, f"checksum of {path.name}"):
            total.update(block)
    return f"{algorithm}:{total.hexdigest()}"


def small(session: requests.Session, address: str, limit: int) -> bytes | None:
    """The content of a small file; None where the server has no such file."""
    for attempt in range(ATTEMPTS):
        try:
            with session.get(address, stream=True, timeout=TIMEOUT) as answer:
                if answer.status_code in (404, 410):
                    return None
                _refuse_answer(address, answer)
                content = bytearray()
                for block in answer.iter_content(CHUNK):
                    content += block
                    if len(content) > limit:
                        raise DataError(f"{address}: found more than {limit} bytes, expected at most that.")
                return bytes(content)
        except requests.RequestException as error:
            if attempt == ATTEMPTS - 1:
                raise DataError(f"{address}: no connection ({_words(error)}). {INSTEAD}") from None
            time.sleep(PAUSE)
    raise AssertionError


def _transfer_patiently(address: str, part: Path, progress: Progress) -> None:
    for attempt in range(ATTEMPTS):
        try:
            _transfer(address, part, progress)
            return
        except requests.RequestException as error:
            if attempt == ATTEMPTS - 1:
                have = part.stat().st_size if part.exists() else 0
                kept = f" after {have} bytes, which are kept: the next run goes on from there" if have else ""
                raise DataError(f"{address}: no connection{kept} ({_words(error)}). {INSTEAD}") from None
            time.sleep(PAUSE)


def _transfer(address: str, part: Path, progress: Progress) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(address, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 416:
            if answer.headers.get("Content-Range", "").endswith(f"/{have}"):
                return
            part.unlink()
            raise requests.ConnectionError("the file has changed on the server")
        _refuse_answer(address, answer)
        if answer.status_code != 206 or not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0
        length = answer.headers.get("Content-Length")
        goal = have + int(length) if length else None
        if (goal or 0) > LARGEST:
            raise DataError(f"{address}: found {goal} bytes, expected at most {LARGEST}.")
        with part.open("ab" if have else "wb") as file:
            for block in progress(_Sized(answer.iter_content(CHUNK), (goal or have) - have), f"download {part.stem}"):
                if file.tell() == 0 and is_page(block[:512]):
                    raise DataError(_page(address))
                if file.tell() + len(block) > LARGEST:
                    raise DataError(f"{address}: found more than {LARGEST} bytes, expected at most that.")
                file.write(block)
        if goal is not None and part.stat().st_size != goal:
            raise requests.ConnectionError(f"ended at {part.stat().st_size} of {goal} bytes")


def _refuse_answer(address: str, answer: requests.Response) -> None:
    if answer.status_code not in (200, 206):
        raise DataError(f"{address}: the server answered {answer.status_code} {answer.reason}. {INSTEAD}")
    if address.startswith("https:") and not answer.url.startswith("https:"):
        raise DataError(f"{address}: leads to {answer.url}, expected an address with https. {INSTEAD}")
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise DataError(_page(address))


def _page(address: str) -> str:
    return f"{address}: found a web page (HTML), expected a file of data. {INSTEAD}"


def _words(error: Exception) -> str:
    """The innermost reason, in one line and without addresses of objects."""
    inner = error.args[0] if error.args else error
    reason = getattr(inner, "reason", inner.args[0] if isinstance(inner, Exception) and inner.args else inner)
    words = " ".join(str(reason).split()).rstrip(".")
    return re.sub(r"^\S*Connection\w*\([^)]*\): ", "", words)[:200] or type(error).__name__


class _Sized:
    """Blocks whose number is known, as a progress bar needs it."""

    def __init__(self, blocks: Iterator[bytes], size: int) -> None:
        self._blocks, self._count = blocks, max(1, -(-size // CHUNK))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        return self._blocks
