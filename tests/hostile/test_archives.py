"""Archives, pickles and images that we refuse, each with its message."""

import contextlib
import gzip
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import PIL.ImageFile
import pytest
from contracts import official
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixelprune.datasets import archives
from pixelprune.datasets.archives import Zip, read_tar
from pixelprune.datasets.cifar_pickle import read_batch
from pixelprune.datasets.images import decode
from pixelprune.errors import DataError

AGAIN = "Nothing was extracted. Delete the file and fetch it again, from a source that you trust."


def tar_with(path: Path, *members: tarfile.TarInfo, content: bytes = b"") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return path


def info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, target, size
    return member


def message(call, *arguments) -> str:
    with pytest.raises(DataError) as raised:
        call(*arguments)
    return str(raised.value)


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/etc/outside", "C:/outside", "..\\outside"])
def test_tar_member_that_leads_out(tmp_path, name):
    path = tar_with(tmp_path / "a.tar.gz", info(name))
    found = message(read_tar, path, ["a"], 100)
    assert found == f"{path}: found a member that leads out of the archive, {name!r}. {AGAIN}"
    assert not (tmp_path.parent / "outside").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_tar_member_that_is_no_plain_file(tmp_path, kind):
    path = tar_with(tmp_path / "a.tar.gz", info("a", kind, "/etc/passwd"))
    found = message(read_tar, path, ["a"], 100)
    assert found == f"{path}: found the link or device 'a', expected plain files only. {AGAIN}"


def test_tar_member_larger_than_allowed(tmp_path):
    path = tar_with(tmp_path / "a.tar.gz", info("b", size=101), content=bytes(101))
    found = message(read_tar, path, ["a"], 100)
    assert found == f"{path}: found 101 bytes in 'b', expected at most 100. {AGAIN}"


def test_tar_without_the_member(tmp_path):
    path = tar_with(tmp_path / "a.tar.gz", info("b"))
    assert message(read_tar, path, ["a"], 9) == f"{path}: found no member 'a', expected all of: a. {AGAIN}"


def test_tar_whose_header_claims_a_huge_comment(tmp_path):
    member = info("comment", tarfile.XHDTYPE, size=2**33)
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)))
    found = message(read_tar, path, ["a"], 100)
    assert found == (
        f"{path}: found a member that unpacks to more than its place allows, expected at most 100 bytes a member and "
        f"{archives.TOTAL} in all. {AGAIN}"
    )


def test_tar_of_many_gigabytes_is_left_early(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "TOTAL", 10_000)
    path = tar_with(tmp_path / "a.tar.gz", *(info(f"b{k}", size=5000) for k in range(9)), content=bytes(5000))
    assert "more than its place allows" in message(read_tar, path, ["a"], 6000)


def test_tar_whose_sizes_lead_backwards(tmp_path):
    """A negative size in an extended header once made tarfile run in circles (CVE-2025-8194)."""
    record = b"18 size=-1000000\n"
    record = b"%d size=-1000000\n" % (len(record) - 0)
    header = info("x", tarfile.XHDTYPE, size=len(record)).tobuf(tarfile.USTAR_FORMAT)
    body = record.ljust(512, b"\0") + info("a").tobuf(tarfile.USTAR_FORMAT) + bytes(1024)
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(header + body))
    assert AGAIN in message(read_tar, path, ["a"], 100) or "not a whole archive" in message(read_tar, path, ["a"], 100)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated_tar(tmp_path, share):
    path = official.tar_gz(tmp_path / "a.tar.gz", {"a": np.random.default_rng(0).bytes(5000)})
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    found = message(read_tar, path, ["a"], 9000)
    assert found.startswith(f"{path}: not a whole archive (")
    assert found.endswith("). Delete it and run again.")


def test_web_page_under_an_archives_name(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(b"\n<!DOCTYPE html><title>404</title>")
    expected = f"{path}: found a web page (HTML), expected an archive. Delete it; its server does not give the file."
    assert message(read_tar, path, ["a"], 9) == expected
    assert message(Zip, path) == expected


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../b"])
def test_zip_member_that_leads_out(tmp_path, name):
    path = official.zipped(tmp_path / "a.zip", {name: b"x"})
    assert message(Zip, path) == f"{path}: found a member that leads out of the archive, {name!r}. {AGAIN}"


def test_zip_member_that_is_a_link(tmp_path):
    member = zipfile.ZipInfo("a")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    path = tmp_path / "a.zip"
    assert message(Zip, path) == f"{path}: found the link or device 'a', expected plain files. {AGAIN}"


def test_zip_bomb(tmp_path):
    path = official.zipped(tmp_path / "a.zip", {"a": bytes(5_000_000)})
    packed = len(zlib.compress(bytes(5_000_000)))
    found = message(Zip(path).read, "a", 6_000_000)
    assert found.startswith(f"{path}: found 'a' packed ")
    assert found.endswith(f" times smaller than its content, expected at most {archives.RATIO} times. {AGAIN}")
    assert packed < 5_000_000 / archives.RATIO
    assert message(Zip(path).read, "a", 1000) == f"{path}: found 5000000 bytes in 'a', expected at most 1000. {AGAIN}"


def test_zip_that_lies_about_a_size(tmp_path):
    path = official.zipped(tmp_path / "a.zip", {"a": bytes(5000)})
    path.write_bytes(path.read_bytes().replace(struct.pack("<L", 5000), struct.pack("<L", 10)))
    assert "not a whole archive" in message(Zip(path).read, "a", 100)


def test_zip_without_the_member_and_zip_that_needs_a_password(tmp_path):
    path = official.zipped(tmp_path / "a.zip", {"a": b"text"})
    assert message(Zip(path).read, "b", 9) == f"{path}: found no member 'b'. {AGAIN}"
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(bytes(content))
    assert "is encrypted, password required for extraction" in message(Zip(path).read, "a", 9)


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_inside_a_member_of_any_compression(tmp_path, kind):
    path, whole = tmp_path / "a.zip", bytes(range(256)) * 20
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("a", whole)
    content = path.read_bytes()
    for at in range(31, 31 + 40):
        path.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
        with contextlib.suppress(DataError):
            assert Zip(path).read("a", 10_000) == whole


def test_truncated_zip(tmp_path):
    path = official.zipped(tmp_path / "a.zip", {"a": b"text"})
    path.write_bytes(path.read_bytes()[:40])
    found = message(Zip, path)
    assert found == f"{path}: not a whole archive (File is not a zip file). Delete it and run again."


def test_a_pickle_that_would_run_a_command_runs_none(tmp_path):
    goal = tmp_path / "ran"
    hostile = b"\x80\x02cos\nsystem\n(U" + bytes([len(f"touch {goal}")]) + f"touch {goal}".encode() + b"tR."
    assert message(read_batch, hostile, "data_batch_1", 3072) == (
        "data_batch_1: found 0 labels and 0 bytes of pixels, expected 3072 bytes a label in row order. Fetch it again."
    )
    assert not goal.exists()


def test_truncated_pickle():
    labels, pixels = official.cifar_batches()["test_batch"]
    whole = official.pickled(labels, pixels.tobytes())
    found = message(read_batch, whole[:1000], "test_batch", 3072)
    assert found.startswith("test_batch: not a whole pickle (")
    assert message(read_batch, official.pickled(labels[:-1], pixels.tobytes()), "test_batch", 3072) == (
        "test_batch: found 29 labels and 92160 bytes of pixels, expected 3072 bytes a label in row order. Fetch it "
        "again."
    )


PHOTO = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize("ending", [".png", ".jpg", ".ppm"])
def test_truncated_image(ending):
    content = official.encoded(PHOTO, ending)
    for share in (0.1, 0.5, 0.95):
        assert message(decode, content[: int(share * len(content))], "a/b") in (
            "a/b: the image is damaged or ends too early. Replace the file.",
            "a/b: not an image that can be read. Replace the file.",
        )
    assert decode(content, "a/b").shape == (40, 50, 3)


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_a_whole_image_with_data_behind_it(ending):
    content = official.encoded(PHOTO, ending)
    video = bytes(10_000)  # as phones append it to a photo
    np.testing.assert_array_equal(decode(content + video, "a/b"), decode(content, "a/b"))


def test_a_cut_photo_whose_preview_is_whole():
    whole = official.encoded(PHOTO, ".jpg")
    preview = b"\xff\xe1" + struct.pack(">H", 2 + 4) + b"\xff\xd8\xff\xd9"
    assert not PIL.ImageFile.LOAD_TRUNCATED_IMAGES
    assert message(decode, whole[:2] + preview + whole[2:1000], "a/b") == (
        "a/b: the image is damaged or ends too early. Replace the file."
    )


def test_image_that_claims_billions_of_pixels():
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def png(side: int) -> bytes:
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        data = zlib.compress(bytes(1000))
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")

    assert message(decode, png(60_000), "bomb.png") == (
        "bomb.png: found too many pixels, expected at most 50000000. Shrink the image."
    )
    assert message(decode, png(8000), "bomb.png") == (
        "bomb.png: found 8000 x 8000 pixels, expected 1 to 50000000. Shrink the image."
    )


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """Bytes of a whole file with pieces overwritten, and arbitrary bytes."""

    @st.composite
    def change(draw):
        content = bytearray(whole)
        for _ in range(draw(st.integers(1, 4))):
            start = draw(st.integers(0, len(content) - 1))
            piece = draw(st.binary(min_size=1, max_size=12))
            content[start : start + len(piece)] = piece
        return bytes(content)

    return st.one_of(change(), st.binary(max_size=200))


FUZZ = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def member(content: bytes = bytes(range(200))) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(info("a", size=len(content)), io.BytesIO(content))
    return file.getvalue()[:2048]


@FUZZ
@given(content=damaged(member()))
def test_any_tar_gives_bytes_or_our_error(tmp_path, content):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(content, 1))
    with contextlib.suppress(DataError):
        assert isinstance(read_tar(path, ["a"], 1000)["a"], bytes)


def packed() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("a"), bytes(range(200)))
    return file.getvalue()


@FUZZ
@given(content=damaged(packed()))
def test_any_zip_gives_bytes_or_our_error(tmp_path, content):
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        assert isinstance(Zip(path).read("a", 1000), bytes)


@FUZZ
@given(content=damaged(official.pickled(np.arange(5), bytes(15))))
def test_any_pickle_gives_arrays_or_our_error(content):
    try:
        labels, pixels = read_batch(content, "batch", 3)
        assert pixels.shape == (len(labels), 3)
    except DataError:
        pass


@FUZZ
@given(content=st.one_of(*(damaged(official.encoded(PHOTO[:8, :9], ending)) for ending in (".png", ".jpg", ".ppm"))))
def test_any_image_gives_pixels_or_our_error(content):
    with contextlib.suppress(DataError):
        assert decode(content, "image").ndim == 3
