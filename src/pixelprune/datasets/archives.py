"""Reads archives that nobody vouches for: member by member, by expected name, with caps; nothing is ever extracted.

Refused with a DataError: names that lead out of the archive, links and devices, members larger than they may be,
damaged and truncated files, a web page under an archive's name.
"""

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pixelprune.errors import DataError

MEMBERS = 500_000
"""More members than any archive of ours has (train2017.zip: 118,287)."""

TOTAL = 2**31
"""Bytes that a .tar.gz may unpack to."""

RATIO = 200
"""How much smaller than its content a zip member may be; images and annotations stay below 20."""

AGAIN = "Nothing was extracted. Delete the file and fetch it again, from a source that you trust."


def read_tar(
    path: Path, wanted: Collection[str], limit: int, passed: Mapping[str, int] | None = None
) -> dict[str, bytes]:
    """The content of the `wanted` members of a .tar.gz, in one pass; no member may hold more than `limit` bytes.

    passed: members that nobody wants and that may hold more, with what they may hold.
    """
    refuse_page(path)
    found: dict[str, bytes] = {}
    passed = passed or {}
    with _readable(path), gzip.open(path) as plain:
        stream = _Capped(path, plain, limit, TOTAL + sum(passed.values()))
        archive = tarfile.open(fileobj=stream, mode="r:")  # type: ignore[call-overload]  # noqa: SIM115
        for member in archive:
            _refuse_escape(path, member.name)
            if member.isdir():
                continue
            if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                raise DataError(f"{path}: found the link or device {member.name!r}, expected plain files only. {AGAIN}")
            _refuse_size(path, member.name, member.size, passed.get(member.name, limit))
            if member.name in wanted:
                content = archive.extractfile(member)
                assert content is not None
                found[member.name] = content.read()
        stream.finish()
    for name in wanted:
        if name not in found:
            raise DataError(f"{path}: found no member {name!r}, expected all of: {', '.join(wanted)}. {AGAIN}")
    return found


class Zip:
    """A .zip, its table of contents checked when it is opened."""

    def __init__(self, path: Path) -> None:
        refuse_page(path)
        self._path = path
        with _readable(path):
            self._archive = zipfile.ZipFile(path)
        self._members: dict[str, zipfile.ZipInfo] = {}
        members = self._archive.infolist()
        if len(members) > MEMBERS:
            raise DataError(f"{path}: found {len(members)} members, expected at most {MEMBERS}. {AGAIN}")
        for member in members:
            _refuse_escape(path, member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DataError(f"{path}: found the link or device {member.filename!r}, expected plain files. {AGAIN}")
            self._members[member.filename] = member

    def has(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str, limit: int) -> bytes:
        """The content of a member, its CRC checked. Raises DataError where it is absent or larger than `limit`."""
        if name not in self._members:
            raise DataError(f"{self._path}: found no member {name!r}. {AGAIN}")
        member = self._members[name]
        _refuse_size(self._path, name, member.file_size, limit)
        if member.file_size > RATIO * member.compress_size + 65536:
            raise DataError(
                f"{self._path}: found {name!r} packed {member.file_size / max(1, member.compress_size):.0f} times "
                f"smaller than its content, expected at most {RATIO} times. {AGAIN}"
            )
        with _readable(self._path), self._archive.open(member) as content:
            return content.read(limit)


def refuse_page(path: Path) -> None:
    """Raises DataError where the file is a web page, as servers send in place of what they do not have."""
    with path.open("rb") as file:
        if is_page(file.read(512)):
            raise DataError(
                f"{path}: found a web page (HTML), expected an archive. Delete it; its server does not give the file."
            )


def is_page(head: bytes) -> bool:
    """Whether a file that begins so is HTML or XML."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"


class _Capped:
    """What tarfile may do to an unpacked stream: read on, in pieces of at most `limit`, up to `total` bytes."""

    def __init__(self, path: Path, stream: gzip.GzipFile, limit: int, total: int) -> None:
        self._path, self._stream, self._limit, self._total = path, stream, limit, total
        self.name = str(path)

    def read(self, size: int) -> bytes:
        self._refuse(size > self._limit + tarfile.BLOCKSIZE or self._stream.tell() + size > self._total)
        return self._stream.read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        # Forged sizes lead backwards and make tarfile run in circles; an honest step back stays within a block.
        self._refuse(position > self._total or position < self._stream.tell() - tarfile.BLOCKSIZE or whence != 0)
        return self._stream.seek(position)

    def tell(self) -> int:
        return self._stream.tell()

    def finish(self) -> None:
        """Reads to the end, where gzip compares its checksum: a cut in the last bytes is a cut, too."""
        while self.read(min(self._limit, 2**20)):
            pass

    def _refuse(self, wrong: bool) -> None:
        if wrong:
            raise DataError(
                f"{self._path}: found a member that unpacks to more than its place allows, "
                f"expected at most {self._limit} bytes a member and {self._total} in all. {AGAIN}"
            )


def _refuse_escape(path: Path, name: str) -> None:
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name:
        raise DataError(f"{path}: found a member that leads out of the archive, {name!r}. {AGAIN}")


def _refuse_size(path: Path, name: str, size: int, limit: int) -> None:
    if not 0 <= size <= limit:
        raise DataError(f"{path}: found {size} bytes in {name!r}, expected at most {limit}. {AGAIN}")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path}: not a whole archive ({_words(error)}). Delete it and run again.") from None
    except (NotImplementedError, RuntimeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: not an archive that can be read ({_words(error)}). {AGAIN}") from None


def _words(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
