"""Hands out the files of a data set, and remembers what was read and whether it is the official content."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelprune.datasets import fetch
from pixelprune.datasets.options import Progress

DOWNLOADS = Path(".pixelprune") / "downloads"
LISTED = 40
"""The card names the digest of every file up to so many; beyond, one digest over all of them."""


@dataclass(frozen=True)
class Archive:
    name: str
    """The file's name, at its official address and in a mirror."""
    address: str
    checksum: str
    """The official one, "md5:..."."""


class Origin:
    """Hands out the files of one data set and remembers what was read. This one: the official addresses."""

    mirrored = False
    where = "the official address"

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._digests: dict[str, str] = {}
        self._official = True

    def has(self, name: str) -> bool:
        """Whether there is a file of this name, by its path in the official layout."""
        return False

    def read(self, name: str, limit: int, checksum: str | None = None) -> bytes:
        """The content of an unpacked file; `checksum`: the official one, where the world knows it."""
        content = self._content(name, limit)
        self._digests[name] = hashlib.sha256(content).hexdigest()
        if checksum is None or _digest(content, checksum.split(":")[0]) != checksum:
            self._official = False
        return content

    def archive(self, archive: Archive) -> Path:
        """A local copy of an archive, verified as far as this origin can be."""
        folder = self._folder(archive)
        return self._noted(fetch.download(archive.address, folder, archive.checksum, self._progress), archive)

    def card(self) -> dict[str, Any]:
        """For the data card: official only where everything that was read has its official checksum."""
        return {"status": "official" if self._official else "mirror", "sha256": summarized(self._digests)}

    def _content(self, name: str, limit: int) -> bytes:
        raise NotImplementedError

    def _folder(self, archive: Archive) -> Path:
        return DOWNLOADS / archive.name

    def _noted(self, path: Path, archive: Archive) -> Path:
        algorithm = archive.checksum.split(":")[0]
        found = fetch.digest(path, algorithm, self._progress)
        self._digests[archive.name] = fetch.digest(path, "sha256", self._progress).removeprefix("sha256:")
        if found != archive.checksum:
            self._official = False
        return path


def summarized(digests: dict[str, str]) -> dict[str, str]:
    """The digest of every file, or of the list of them where they are many."""
    if len(digests) <= LISTED:
        return dict(sorted(digests.items()))
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return {f"{len(digests)} files": hashlib.sha256(lines.encode()).hexdigest()}


def _digest(content: bytes, algorithm: str) -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()}"
