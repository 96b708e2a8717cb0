"""Where the files of a data set come from: its official address, or a mirror that PIXELPRUNE_MIRROR names.

A mirror is a folder or an address; it holds the official archives, or what they unpack to. Where it has a SHA256SUMS,
every file that is read must be listed there and agree.
"""

import hashlib
import os
import urllib.parse
from pathlib import Path

import requests

from pixelprune.datasets import fetch
from pixelprune.datasets.options import Progress
from pixelprune.datasets.origin import DOWNLOADS, Archive, Origin
from pixelprune.errors import DataError

VARIABLE = "PIXELPRUNE_MIRROR"
SUMS = "SHA256SUMS"
SUMS_LIMIT = 2**28


def origin(progress: Progress) -> Origin:
    """The mirror that the environment names, else the official addresses. Raises DataError where there is no such."""
    value = os.environ.get(VARIABLE, "").strip()
    if not value:
        return Origin(progress)
    if value.startswith(("https://", "http://")):
        return _Address(value, progress)
    root = Path(value).expanduser()
    if not root.is_dir():
        raise DataError(
            f"{VARIABLE}: no such folder: {value}. Expected a folder, or an https address, that holds the official "
            "archives or what they unpack to. Correct it, or unset it to download from the official address."
        )
    return _Folder(root, progress)


def absent(place: Origin, what: str, expected: list[str]) -> DataError:
    """The error for a mirror that holds nothing of a data set."""
    return DataError(
        f"{place.where}: holds no {what}, expected one of: {', '.join(expected)}. Point {VARIABLE} to a mirror that "
        "has it, or unset it to download from the official address."
    )


class _Mirror(Origin):
    mirrored = True
    sums: dict[str, str] | None

    def _verify(self, name: str, digest: str) -> None:
        if self.sums is None:
            return
        expected = self.sums.get(name)
        if expected != digest:
            raise DataError(
                f"{self.where}: {name}: found sha256 {digest}, expected {expected or 'a file'} listed in {SUMS}. "
                "The mirror is damaged: make it again."
            )


class _Folder(_Mirror):
    def __init__(self, root: Path, progress: Progress) -> None:
        super().__init__(progress)
        self._root, self.where = root, str(root)
        sums = root / SUMS
        self.sums = _parsed(sums.read_bytes(), str(sums)) if sums.is_file() else None

    def has(self, name: str) -> bool:
        return (self._root / name).is_file()

    def archive(self, archive: Archive) -> Path:
        path = self._noted(self._root / archive.name, archive)
        self._verify(archive.name, self._digests[archive.name])
        return path

    def read(self, name: str, limit: int, checksum: str | None = None) -> bytes:
        content = super().read(name, limit, checksum)
        self._verify(name, self._digests[name])
        return content

    def _content(self, name: str, limit: int) -> bytes:
        path = self._root / name
        try:
            with path.open("rb") as file:
                content = file.read(limit + 1)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}). Make the mirror again.") from None
        if len(content) > limit:
            raise DataError(f"{path}: found more than {limit} bytes, expected at most that.")
        return content


class _Address(_Mirror):
    def __init__(self, root: str, progress: Progress) -> None:
        super().__init__(progress)
        self._session, self._root, self.where = requests.Session(), root.rstrip("/"), root
        sums = fetch.small(self._session, f"{self._root}/{SUMS}", SUMS_LIMIT)
        self.sums = None if sums is None else _parsed(sums, f"{self._root}/{SUMS}")

    def has(self, name: str) -> bool:
        if self.sums is not None:
            return name in self.sums
        try:
            with self._session.head(self._at(name), timeout=fetch.TIMEOUT, allow_redirects=True) as answer:
                return answer.status_code == 200
        except requests.RequestException as error:
            raise DataError(f"{self.where}: no connection ({type(error).__name__}). Correct {VARIABLE}.") from None

    def archive(self, archive: Archive) -> Path:
        listed = None if self.sums is None else self.sums.get(archive.name)
        checksum = listed and f"sha256:{listed}"
        path = self._noted(
            fetch.download(self._at(archive.name), self._folder(archive), checksum, self._progress), archive
        )
        self._verify(archive.name, self._digests[archive.name])
        return path

    def read(self, name: str, limit: int, checksum: str | None = None) -> bytes:
        content = super().read(name, limit, checksum)
        self._verify(name, self._digests[name])
        return content

    def _content(self, name: str, limit: int) -> bytes:
        content = fetch.small(self._session, self._at(name), limit)
        if content is None:
            raise DataError(f"{self._at(name)}: no such file. Make the mirror again.")
        return content

    def _folder(self, archive: Archive) -> Path:
        return DOWNLOADS / hashlib.sha256(self._root.encode()).hexdigest()[:12] / archive.name

    def _at(self, name: str) -> str:
        return f"{self._root}/{urllib.parse.quote(name)}"


def _parsed(content: bytes, where: str) -> dict[str, str]:
    sums: dict[str, str] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        digest, _, name = line.partition(" ")
        if len(digest) != 64 or not name.strip():
            raise DataError(f"{where}: line {number}: found {line[:80]!r}, expected 'sha256  name'. Make it again.")
        sums[name.strip().removeprefix("*").removeprefix("./")] = digest.lower()
    return sums
