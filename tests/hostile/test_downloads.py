"""Servers and mirrors that do not give what they should, and folders with something wrong, each with its message."""

import hashlib
import http.server
import os
import threading
from pathlib import Path

import pytest
from contracts import official

from pixelprune import params
from pixelprune.datasets import fetch
from pixelprune.datasets.catalog import Dataset
from pixelprune.errors import DataError

CONTENT = bytes(range(256)) * 12_000
MD5 = "md5:" + hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
INSTEAD = "Try again later, or set PIXELPRUNE_MIRROR to a folder or an address that has it."


def quiet(items, what):
    return items


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves server.files; answers ranges; breaks off after `cut` bytes as often as `cuts` says."""

    def do_GET(self) -> None:
        server = self.server
        server.seen.append((self.path, self.headers.get("Range")))
        content = server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start, header = 0, self.headers.get("Range")
        if header and server.ranges:
            start = int(header.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Type", server.kind)
        self.end_headers()
        if self.command == "HEAD":
            return
        if server.cuts:
            server.cuts -= 1
            self.wfile.write(content[start : start + server.cut])
            return
        self.wfile.write(content[start:])

    do_HEAD = do_GET

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setattr(fetch, "PAUSE", 0)
    monkeypatch.delenv("PIXELPRUNE_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    (tmp_path / "study").mkdir()
    monkeypatch.chdir(tmp_path / "study")
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.files, running.seen, running.kind = {"/a.bin": CONTENT}, [], "application/octet-stream"
    running.cuts, running.cut, running.ranges = 0, 1_500_000, True
    running.at = f"http://127.0.0.1:{running.server_port}"
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def message(call, *arguments) -> str:
    with pytest.raises(DataError) as raised:
        call(*arguments)
    return str(raised.value)


def test_a_broken_transfer_goes_on_where_it_ended(server, tmp_path):
    server.cuts = 1
    path = fetch.download(f"{server.at}/a.bin", tmp_path / "a.bin", MD5, quiet)
    assert path.read_bytes() == CONTENT
    assert server.seen[0][1] is None
    assert server.seen[1][1].startswith("bytes=")
    assert os.listdir(tmp_path) in (["a.bin", "study"], ["study", "a.bin"])


def test_the_next_run_goes_on_too(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    fetch.download(f"{server.at}/a.bin", tmp_path / "a.bin", MD5, quiet)
    assert server.seen == [("/a.bin", "bytes=1000-")]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_server_without_ranges_begins_anew(server, tmp_path):
    server.ranges = False
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    assert fetch.download(f"{server.at}/a.bin", tmp_path / "a.bin", MD5, quiet).read_bytes() == CONTENT


def test_a_part_that_is_already_whole_is_taken(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    assert fetch.download(f"{server.at}/a.bin", tmp_path / "a.bin", MD5, quiet).read_bytes() == CONTENT


def test_a_transfer_that_always_breaks(server, tmp_path):
    server.cuts, server.cut = 99, 100_000
    found = message(fetch.download, f"{server.at}/a.bin", tmp_path / "a.bin", MD5, quiet)
    assert found.startswith(f"{server.at}/a.bin: no connection after ")
    assert "bytes, which are kept: the next run goes on from there (Connection broken: IncompleteRead(" in found
    assert found.endswith(f"). {INSTEAD}")
    assert not (tmp_path / "a.bin").exists()


def test_wrong_checksum(server, tmp_path):
    server.files["/a.bin"] = CONTENT[:-1] + b"\0"
    found = message(fetch.download, f"{server.at}/a.bin", tmp_path / "a.bin", MD5, quiet)
    other = "md5:" + hashlib.md5(CONTENT[:-1] + b"\0", usedforsecurity=False).hexdigest()
    assert found == f"{server.at}/a.bin: found {other}, expected {MD5}. The copy was deleted. {INSTEAD}"
    assert os.listdir(tmp_path) == ["study"]


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_in_place_of_an_archive(server, tmp_path, kind):
    server.kind, server.files["/a.bin"] = kind, b"<!DOCTYPE html><html>Sign in</html>"
    found = message(fetch.download, f"{server.at}/a.bin", tmp_path / "a.bin", MD5, quiet)
    assert found == f"{server.at}/a.bin: found a web page (HTML), expected a file of data. {INSTEAD}"
    assert not (tmp_path / "a.bin").exists()


def test_no_such_file_and_no_such_server(server, tmp_path):
    found = message(fetch.download, f"{server.at}/b", tmp_path / "b", None, quiet)
    assert found == f"{server.at}/b: the server answered 404 Not Found. {INSTEAD}"
    found = message(fetch.download, "http://127.0.0.1:9/b", tmp_path / "b", None, quiet)
    assert found.startswith("http://127.0.0.1:9/b: no connection (")
    assert "refused" in found
    assert found.endswith(f"). {INSTEAD}")


def test_https_never_turns_into_http(server):
    class Answer:
        status_code, url, headers = 200, "http://elsewhere/a", {}

    found = message(fetch._refuse_answer, "https://here/a", Answer())
    assert found == f"https://here/a: leads to http://elsewhere/a, expected an address with https. {INSTEAD}"


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("")
    found = message(fetch.download, f"{server.at}/a.bin", tmp_path / "file" / "a.bin", MD5, quiet)
    assert found.endswith(("cannot be written (Not a directory).", "cannot be written (File exists)."))


# Mirrors.


def read(**options: object):
    return params.validated({"validation": 0.0, **options}, Dataset).read(quiet)


def cifar() -> str:
    with pytest.raises(DataError) as raised:
        read(name="cifar10")
    return str(raised.value)


def sums(members: dict[str, bytes]) -> bytes:
    return "".join(f"{hashlib.sha256(c).hexdigest()}  {n}\n" for n, c in members.items()).encode()


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_a_mirror_at_an_address(server, tmp_path, monkeypatch, listed, packed):
    members = official.cifar_binary()
    if packed:
        path = official.tar_gz(tmp_path / "cifar-10-binary.tar.gz", members)
        members = {path.name: path.read_bytes()}
    if listed:
        members["SHA256SUMS"] = sums(members)
    server.files = {f"/mirror/{name}": content for name, content in members.items()}
    monkeypatch.setenv("PIXELPRUNE_MIRROR", f"{server.at}/mirror/")
    train, test, card = read(name="cifar10")
    assert (len(train), len(test), card["status"]) == (150, 30, "mirror")
    first = next(iter(members))
    assert card["sha256"][first] == hashlib.sha256(members[first]).hexdigest()


def test_a_mirror_at_an_address_with_a_wrong_file(server, monkeypatch):
    members = official.cifar_binary()
    server.files = {f"/{name}": content for name, content in members.items()} | {"/SHA256SUMS": sums(members)}
    server.files["/cifar-10-batches-bin/test_batch.bin"] = members["cifar-10-batches-bin/test_batch.bin"][::-1]
    monkeypatch.setenv("PIXELPRUNE_MIRROR", server.at)
    assert "cifar-10-batches-bin/test_batch.bin: found sha256 " in cifar()


def test_a_mirror_that_does_not_exist(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELPRUNE_MIRROR", "/no/such/mirror")
    assert cifar() == (
        "PIXELPRUNE_MIRROR: no such folder: /no/such/mirror. Expected a folder, or an https address, that holds the "
        "official archives or what they unpack to. Correct it, or unset it to download from the official address."
    )


@pytest.mark.parametrize(("name", "what"), [("cifar10", "CIFAR-10"), ("gtsrb", "GTSRB"), ("coco", "MS-COCO 2017")])
def test_a_mirror_that_holds_something_else(server, tmp_path, monkeypatch, name, what):
    monkeypatch.setenv("PIXELPRUNE_MIRROR", str(tmp_path))
    with pytest.raises(DataError) as raised:
        read(name=name)
    assert str(raised.value).startswith(f"{tmp_path}: holds no {what}, expected one of: ")
    assert str(raised.value).endswith(
        ". Point PIXELPRUNE_MIRROR to a mirror that has it, or unset it to download from the official address."
    )


@pytest.mark.parametrize("change", ["other", "unlisted"])
def test_a_mirror_whose_sums_disagree(server, tmp_path, monkeypatch, change):
    members = official.cifar_binary()
    name = "cifar-10-batches-bin/data_batch_2.bin"
    lines = sums({n: c for n, c in members.items() if change == "other" or n != name})
    if change == "other":
        members[name] = bytes(len(members[name]))
    monkeypatch.setenv("PIXELPRUNE_MIRROR", str(official.unpacked(tmp_path / "m", {**members, "SHA256SUMS": lines})))
    found = hashlib.sha256(members[name]).hexdigest()
    original = hashlib.sha256(official.cifar_binary()[name]).hexdigest()
    assert cifar() == (
        f"{tmp_path / 'm'}: {name}: found sha256 {found}, expected {original if change == 'other' else 'a file'} "
        "listed in SHA256SUMS. The mirror is damaged: make it again."
    )


def test_a_mirror_with_sums_that_are_none(server, tmp_path, monkeypatch):
    official.unpacked(tmp_path / "m", {**official.cifar_binary(), "SHA256SUMS": b"<html>"})
    monkeypatch.setenv("PIXELPRUNE_MIRROR", str(tmp_path / "m"))
    assert cifar() == f"{tmp_path / 'm'}/SHA256SUMS: line 1: found '<html>', expected 'sha256  name'. Make it again."


def test_a_damaged_download_is_fetched_once_more(server, tmp_path):
    (tmp_path / "a.bin").write_bytes(CONTENT[:-1] + b"\0")
    fetch.download(f"{server.at}/a.bin", tmp_path / "a.bin", MD5, quiet)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    fetch.download(f"{server.at}/a.bin", tmp_path / "a.bin", MD5, quiet)
    assert server.seen == [("/a.bin", None)]


@pytest.mark.parametrize("right", [True, False])
def test_a_mirror_that_was_made_again(server, tmp_path, monkeypatch, right):
    name = "cifar-10-binary.tar.gz"
    monkeypatch.setenv("PIXELPRUNE_MIRROR", server.at)
    for count in (30, 20):
        members = official.cifar_binary()
        members["cifar-10-batches-bin/test_batch.bin"] = members["cifar-10-batches-bin/test_batch.bin"][: 3073 * count]
        content = official.tar_gz(tmp_path / f"{count}.tar.gz", members).read_bytes()
        served = content if right or count == 30 else content[::-1]
        server.files = {f"/{name}": served, "/SHA256SUMS": sums({name: content})}
        if right or count == 30:
            assert len(read(name="cifar10")[1]) == count
    if not right:
        found, listed = (hashlib.sha256(data).hexdigest() for data in (served, content))
        assert cifar() == (
            f"{server.at}/{name}: found sha256:{found}, expected sha256:{listed}. The copy was deleted. {INSTEAD}"
        )


def test_a_truncated_batch(server, tmp_path, monkeypatch):
    members = official.cifar_binary()
    members["cifar-10-batches-bin/test_batch.bin"] = members["cifar-10-batches-bin/test_batch.bin"][:-1]
    monkeypatch.setenv("PIXELPRUNE_MIRROR", str(official.unpacked(tmp_path / "m", members)))
    assert cifar() == (
        "cifar-10-batches-bin/test_batch.bin: found 92189 bytes, expected a multiple of 3073. The file is damaged: "
        "fetch it again."
    )


def test_a_gtsrb_table_with_a_box_outside_of_its_photo(server, tmp_path, monkeypatch):
    members = official.gtsrb()
    members["GT-final_test.csv"] = members["GT-final_test.csv"].replace(b"33;34;5;5;28;29", b"33;34;5;5;34;29")
    monkeypatch.setenv("PIXELPRUNE_MIRROR", str(official.unpacked(tmp_path / "m", members)))
    with pytest.raises(DataError) as raised:
        read(name="gtsrb", classes=[0, 12])
    assert str(raised.value).startswith("GT-final_test.csv: line 2: found a box outside of its photo or no such class")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"[[10.0, 20.0, 42.0, 20.0, 42.0, 52.0, 10.0, 52.0]]", b"[]", "annotation id 10: list index"),
        (b'"bbox": [10.0, 20.0, 32.0, 32.0]', b'"bbox": [10.0, 20.0, -1.0, 32.0]', "annotation 0: ValueError: the box"),
        (b"[10.0, 20.0, 42.0, 20.0, ", b"[10.0, 20.0, 42.0, ", "a polygon needs at least three corners"),
        (b'"area": 1024.0', b'"arae": 1024.0', "annotation 0: KeyError: 'area'"),
        (b'"size": [60, 80]', b'"size": [6000, 8000]', "run lengths for [6000, 8000], the photo has [60, 80]"),
        (b'"file_name": "0', b'"file_name": "../0', "the file name '../0"),
        (b'"images"', b'"imags"', "not a table of COCO instances (KeyError: 'images')"),
    ],
)
def test_damaged_coco_tables(server, tmp_path, monkeypatch, old, new, expected):
    members = official.coco()
    name = "annotations/instances_train2017.json"
    assert old in members[name]
    members[name] = members[name].replace(old, new)
    monkeypatch.setenv("PIXELPRUNE_MIRROR", str(official.unpacked(tmp_path / "m", members)))
    with pytest.raises(DataError) as raised:
        read(name="coco", categories=["cat", "dog"], minimum=20)
    assert str(raised.value).startswith(f"{name}: ")
    assert expected in str(raised.value)


def test_a_category_that_coco_does_not_have(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELPRUNE_MIRROR", str(official.unpacked(tmp_path / "m", official.coco())))
    with pytest.raises(DataError) as raised:
        read(name="coco", categories=["cat", "unicorn"])
    assert str(raised.value) == (
        "dataset.categories: no category 'unicorn'; annotations/instances_train2017.json has: bus, cat, dog. "
        "Correct it."
    )


# The user's own folder.


def own(root: Path, **options: object) -> str:
    with pytest.raises(DataError) as raised:
        read(name="folder", path=str(root), **options)
    return str(raised.value)


def test_folder_that_is_not_there(tmp_path):
    assert own(tmp_path / "x") == (
        f"dataset.path: no such folder: {tmp_path / 'x'}. Correct it; a relative path begins here."
    )


def test_folder_with_a_mask_missing(tmp_path):
    root = official.folder(tmp_path)
    (root / "masks/bee/7.png").unlink()
    assert own(root) == (
        f"{root}/masks/bee/7.png: no such mask, expected one for every image, here for bee/7.png. Add it, or take the "
        "folder masks away."
    )


def test_folder_with_a_mask_of_another_size(tmp_path):
    root = official.folder(tmp_path)
    (root / "masks/bee/7.png").write_bytes((root / "masks/bee/6.png").read_bytes())
    assert own(root) == (
        f"{root}/masks/bee/7.png: found (26, 30) pixels, expected (27, 30) as in bee/7.png. Replace the mask."
    )


def test_folder_with_an_image_that_is_none(tmp_path):
    root = official.folder(tmp_path)
    (root / "bee/7.png").write_bytes(b"not an image")
    assert own(root) == f"{root}/bee/7.png: not an image that can be read. Replace the file."


def test_folder_with_one_class_and_with_none(tmp_path):
    root = official.folder(tmp_path, masks=False)
    for label in ("bee", "cow"):
        for path in (root / label).iterdir():
            path.unlink()
    assert own(root).startswith(f"{root}/bee: found no image, expected .png, .jpg")
    for label in ("bee", "cow"):
        (root / label).rmdir()
    assert own(root) == f"{root}: found the classes ['ant'], expected at least two. Add another class."
    (tmp_path / "empty").mkdir()
    assert own(tmp_path / "empty") == (
        f"{tmp_path}/empty: found no folder of a class, expected CLASS/NAME.png for every image. Add them."
    )


def test_folder_with_links_that_lead_out(tmp_path):
    root = official.folder(tmp_path / "set", masks=False)
    secret = official.unpacked(tmp_path, {"secret.png": (root / "ant/0.png").read_bytes()}) / "secret.png"
    (root / "ant/link.png").symlink_to(secret)
    assert own(root) == (
        f"{root}/ant/link.png: 'ant/link.png' leads out of {root}, expected files inside. "
        "Copy the file into the folder."
    )
    (root / "ant/link.png").unlink()
    (root / "ant/loop").symlink_to(root)
    assert own(root) == f"{root}/ant/loop: found a link to a folder, expected a folder. Copy it here."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("image,lable\na,b", ": found the columns image,lable, expected image,label[,mask][,group][,split]. Correct"),
        ("image,label\nant/0.png,\n", ": line 2: found an empty, missing or surplus entry, expected image,label. Fill"),
        ("image,label\nant/0.png,a,b\n", ": line 2: found an empty, missing or surplus entry, expected image,label."),
        ("image,label\n../x.png,a\n", ": line 2: '../x.png' leads out of "),
        ("image,label\n/etc/passwd,a\n", ": line 2: '/etc/passwd' leads out of "),
        ("image,label\nant/99.png,a\n", ": line 2: no such file: "),
        (
            "image,label,split\nant/0.png,a,val\n",
            ": line 2: found the split 'val', expected train or test. Correct it.",
        ),
        ("image,label\nant/0.png,a\nant/0.png,b\n", ": the image ant/0.png is listed twice. Take one line away."),
        ("image,label\nant/0.png,a\n", ": found the classes ['a'], expected at least two. Add another class."),
        ("image,label\n", ": found the classes [], expected at least two. Add another class."),
        ("image,label,split\nant/0.png,a,train\nbee/0.png,b,train\n", ": found no test image. Add images or groups"),
        (
            "image,label,split\nant/0.png,a,train\nbee/0.png,b,test\n",
            ": found no training image of 'b'. Add some, or leave the class out.",
        ),
        (
            "image,label,group,split\nant/0.png,a,g,train\nbee/0.png,b,h,train\nant/1.png,a,h,test\n",
            ": found the group 'h' in train and in test, expected it in one part. Correct the column split of table.c",
        ),
    ],
)
def test_tables_with_something_wrong(tmp_path, text, expected):
    root = official.folder(tmp_path, masks=False)
    (root / "table.csv").write_text(text)
    found = own(root, csv="table.csv")
    assert found.startswith(str(root))
    assert expected in found


def test_a_table_that_is_not_there(tmp_path):
    root = official.folder(tmp_path, masks=False)
    assert own(root, csv="x.csv") == (
        f"{root}/x.csv: not readable as a CSV ([Errno 2] No such file or directory: '{root}/x.csv'). "
        "Correct the file, or dataset.csv."
    )
