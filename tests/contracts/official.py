"""Tiny data sets in the layouts of the official archives, made from a seed."""

import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np

CIFAR_ROWS = 30
TRACKS = 3
FRAMES = 4
SIGNS = {"00000": "circle", "00012": "diamond", "00013": "down", "00014": "octagon", "00018": "up"}


def cifar_batches() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Official name -> labels (30,), pixels (30, 3072)."""
    generator = np.random.default_rng(0)
    names = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
    return {
        name: (np.arange(CIFAR_ROWS) % 10, generator.integers(0, 256, (CIFAR_ROWS, 3072), dtype=np.uint8))
        for name in names
    }


def cifar_binary() -> dict[str, bytes]:
    return {
        f"cifar-10-batches-bin/{name}.bin": np.hstack([labels[:, None].astype(np.uint8), pixels]).tobytes()
        for name, (labels, pixels) in cifar_batches().items()
    }


def cifar_python() -> dict[str, bytes]:
    """As Python 2 pickled them: opcodes written by hand, so that no test needs pickle."""
    return {
        f"cifar-10-batches-py/{name}": pickled(labels, pixels.tobytes())
        for name, (labels, pixels) in cifar_batches().items()
    }


def pickled(labels: np.ndarray, pixels: bytes, key: str = "labels", coarse: np.ndarray | None = None) -> bytes:
    def text(value: str) -> bytes:
        return b"U" + bytes([len(value)]) + value.encode()

    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x02" + b"cnumpy\nndarray\nq\x03" + b"K\x00\x85" + text("b")
    array += b"\x87Rq\x04(K\x01K\x1eM\x00\x0c\x86" + b"cnumpy\ndtype\n" + text("u1") + b"K\x00K\x01\x87R"
    array += b"(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb" + b"\x89"
    array += b"T" + struct.pack("<i", len(pixels)) + pixels + b"tb"

    def numbers(values: np.ndarray) -> bytes:
        return b"]q\x05(" + b"".join(b"K" + bytes([value]) for value in values) + b"e"

    others = b"" if coarse is None else text("coarse_labels") + numbers(coarse)
    names = b"](" + b"".join(text(f"image_{k}.png") for k in range(len(labels))) + b"e"
    entries = (
        text("data")
        + array
        + others
        + text(key)
        + numbers(labels)
        + text("batch_label")
        + text("batch 1")
        + text("filenames")
    )
    return b"\x80\x02}q\x01(" + entries + names + b"u."


def tar_gz(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def unpacked(root: Path, members: dict[str, bytes]) -> Path:
    for name, content in members.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def encoded(image: np.ndarray, ending: str) -> bytes:
    """An RGB or grey array as an image file."""
    return cv2.imencode(ending, image[..., ::-1] if image.ndim == 3 else image)[1].tobytes()


def gtsrb() -> dict[str, bytes]:
    """Five classes (all folders are there), three tracks of four frames each; six test images."""
    generator = np.random.default_rng(1)
    files: dict[str, bytes] = {}
    head = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\r\n"
    for number in range(43):
        folder, lines = f"GTSRB/Final_Training/Images/{number:05d}", head
        for track in range(TRACKS if f"{number:05d}" in SIGNS else 0):
            for frame in range(FRAMES):
                width, height = 28 + 2 * frame, 30 + frame
                name = f"{track:05d}_{frame:05d}.ppm"
                photo = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
                files[f"{folder}/{name}"] = encoded(photo, ".ppm")
                lines += f"{name};{width};{height};5;6;{width - 5};{height - 6};{number}\r\n"
        files[f"{folder}/GT-{number:05d}.csv"] = lines.encode()
    lines = head
    for image, number in enumerate(["00000", "00012", "00013", "00014", "00018", "00000"]):
        files[f"GTSRB/Final_Test/Images/{image:05d}.ppm"] = encoded(
            generator.integers(0, 256, (34, 33, 3), dtype=np.uint8), ".ppm"
        )
        lines += f"{image:05d}.ppm;33;34;5;5;28;29;{int(number)}\r\n"
    files["GT-final_test.csv"] = lines.encode()
    return files


def gtsrb_zips(root: Path) -> Path:
    files = gtsrb()
    training = {n.replace("Final_Training/Images", "Training"): c for n, c in files.items() if "Final_Training" in n}
    root.mkdir(parents=True, exist_ok=True)
    zipped(root / "GTSRB-Training_fixed.zip", training)
    zipped(root / "GTSRB_Final_Test_Images.zip", {n: c for n, c in files.items() if "Final_Test" in n})
    zipped(root / "GTSRB_Final_Test_GT.zip", {"GT-final_test.csv": files["GT-final_test.csv"]})
    return root


def coco() -> dict[str, bytes]:
    """Two categories and one that nobody asks for; 12 training photos and 4 test photos of 60 x 80 pixels."""
    generator = np.random.default_rng(2)
    files: dict[str, bytes] = {}
    for part, folder, count in ((0, "train2017", 12), (1, "val2017", 4)):
        images, annotations = [], []
        for photo in range(1, count + 1):
            number = part * 1000 + photo
            name = f"{number:012d}.jpg"
            images.append({"id": number, "file_name": name, "height": 60, "width": 80, "license": 1})
            files[f"{folder}/{name}"] = encoded(generator.integers(0, 256, (60, 80, 3), dtype=np.uint8), ".jpg")
            shapes = [
                ([[10.0, 20.0, 42.0, 20.0, 42.0, 52.0, 10.0, 52.0]], [10.0, 20.0, 32.0, 32.0], 0, 1024.0),
                ({"size": [60, 80], "counts": run_lengths(4, 40, 36, 76)}, [40.0, 4.0, 36.0, 32.0], 0, 1152.0),
                ({"size": [60, 80], "counts": run_lengths(0, 0, 60, 80)}, [0.0, 0.0, 80.0, 60.0], 1, 4800.0),
                ([[1.0, 1.0, 9.0, 1.0, 9.0, 9.0, 1.0, 9.0]], [1.0, 1.0, 8.0, 8.0], 0, 64.0),
            ]
            for position, (segmentation, box, crowd, area) in enumerate(shapes):
                annotations.append(
                    {
                        "id": number * 10 + position,
                        "image_id": number,
                        "category_id": (3, 7)[(photo + position) % 2],
                        "segmentation": segmentation,
                        "bbox": box,
                        "iscrowd": crowd,
                        "area": area,
                    }
                )
        categories = [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}, {"id": 9, "name": "bus"}]
        table = {"images": images, "annotations": annotations, "categories": categories}
        files[f"annotations/instances_{folder}.json"] = json.dumps(table).encode()
    return files


def run_lengths(top: int, left: int, bottom: int, right: int) -> list[int]:
    """A rectangle in a photo of 60 x 80 pixels as COCO's column-wise run lengths."""
    mask = np.zeros((60, 80), bool)
    mask[top:bottom, left:right] = True
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff([0, *edges, flat.size]).tolist()
    return [0, *lengths] if flat[0] else lengths


def coco_zips(root: Path) -> Path:
    files = coco()
    root.mkdir(parents=True, exist_ok=True)
    for name, prefix in (
        ("annotations_trainval2017.zip", "annotations/"),
        ("train2017.zip", "train2017/"),
        ("val2017.zip", "val2017/"),
    ):
        zipped(root / name, {n: c for n, c in files.items() if n.startswith(prefix)})
    return root


def folder(root: Path, masks: bool = True) -> Path:
    """Three classes of ten images, one channel in the second, of unequal sizes."""
    generator = np.random.default_rng(3)
    for label in ("ant", "bee", "cow"):
        for number in range(10):
            height, width = 20 + number, 30
            shape = (height, width) if label == "bee" else (height, width, 3)
            image = generator.integers(0, 256, shape, dtype=np.uint8)
            mask = np.zeros((height, width), np.uint8)
            mask[4:-4, 8:-8] = 255 if number % 2 else 1
            files = {f"{label}/{number}.png": encoded(image, ".png")}
            if masks:
                files[f"masks/{label}/{number}.png"] = encoded(mask, ".png")
            unpacked(root, files)
    return root


def cifar100_parts() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Official name -> coarse labels, fine labels, pixels (N, 3072); every fine class is there six times, or once."""
    generator = np.random.default_rng(3)
    parts = {}
    for name, count in (("train", 600), ("test", 100)):
        fine = np.arange(count) % 100
        parts[name] = (fine % 20, fine, generator.integers(0, 256, (count, 3072), dtype=np.uint8))
    return parts


def cifar100_binary() -> dict[str, bytes]:
    return {
        f"cifar-100-binary/{name}.bin": np.hstack([coarse[:, None], fine[:, None], pixels]).astype(np.uint8).tobytes()
        for name, (coarse, fine, pixels) in cifar100_parts().items()
    }


def cifar100_python() -> dict[str, bytes]:
    return {
        f"cifar-100-python/{name}": pickled(fine, pixels.tobytes(), "fine_labels", coarse)
        for name, (coarse, fine, pixels) in cifar100_parts().items()
    }


def stl10_parts() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Part -> labels 1 to 10, images uint8 (N, 96, 96, 3)."""
    generator = np.random.default_rng(4)
    counts = {"train": 60, "test": 20}
    return {
        part: (np.arange(count) % 10 + 1, generator.integers(0, 256, (count, 96, 96, 3), dtype=np.uint8))
        for part, count in counts.items()
    }


def stl10() -> dict[str, bytes]:
    files = {}
    for part, (labels, images) in stl10_parts().items():
        files[f"stl10_binary/{part}_X.bin"] = images.transpose(0, 3, 2, 1).tobytes()
        files[f"stl10_binary/{part}_y.bin"] = labels.astype(np.uint8).tobytes()
    return files | {"stl10_binary/class_names.txt": b"airplane\n"}
