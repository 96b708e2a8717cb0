"""The two imports that can fail on a healthy machine: each failure is made, and its cure looked at."""

import builtins
import subprocess
import sys

import pytest

from pixelprune import compat
from pixelprune.errors import PixelpruneError


@pytest.fixture
def no_cv2(monkeypatch):
    """Makes `import cv2` fail with a message of our choice."""

    def fail_with(message: str) -> None:
        real = builtins.__import__

        def importing(name, *args, **kwargs):
            if name == "cv2":
                raise ImportError(message)
            return real(name, *args, **kwargs)

        monkeypatch.delitem(sys.modules, "cv2", raising=False)
        monkeypatch.setattr(builtins, "__import__", importing)

    return fail_with


@pytest.mark.parametrize(
    ("library", "cure"),
    [
        ("libGL.so.1", "install the package libgl1"),
        ("libgthread-2.0.so.0", "install the package libglib2.0-0"),
        ("libfoo-3.so.2", "install the package that holds libfoo-3.so.2"),
    ],
)
def test_a_missing_system_library_is_named_with_its_package(no_cv2, library, cure):
    no_cv2(f"{library}: cannot open shared object file: No such file or directory")
    with pytest.raises(PixelpruneError) as error:
        compat.cv2()
    assert str(error.value) == (
        f"OpenCV cannot start: {library} is missing; {cure} (Debian: apt-get install libgl1 libglib2.0-0)."
    )


def test_another_failure_of_the_import_is_a_bug_and_stays_one(no_cv2):
    no_cv2("numpy.core.multiarray failed to import")
    with pytest.raises(ImportError, match="multiarray"):
        compat.cv2()


def test_opencv_runs_on_one_thread():
    assert compat.cv2().getNumThreads() == 1


def python(script: str) -> str:
    """What a fresh interpreter prints: imports cannot be undone in this one."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_torchvision_is_there_however_it_was_built():
    script = (
        "from pixelprune import compat; tv = compat.torchvision(); assert compat.torchvision() is tv\n"
        "import torch, torchvision.datasets, torchvision.models, torchvision.transforms.v2 as v2\n"
        "images = v2.RandomHorizontalFlip(1.0)(torch.arange(4.0).reshape(1, 1, 2, 2))\n"
        "print(images.flatten().tolist(), torchvision.models.resnet18().fc.out_features, bool(tv.__version__))"
    )
    assert python(script) == "[1.0, 0.0, 3.0, 2.0] 1000 True"


PLAIN = "def nms(): pass\n"
BROKEN = (
    "import torch, torchvision.half\n"
    "if not hasattr(torch.ops.torchvision, 'nms'):\n"
    "    raise RuntimeError('operator torchvision::nms does not exist')\n"
)
OTHER = "raise RuntimeError('operator torchvision::roi_align does not exist')\n"
STAND_IN = (
    "import sys; sys.path.insert(0, {folder!r})\n"
    "from pixelprune import compat\n"
    "try:\n"
    "    print(compat.torchvision().__name__, len(compat._declared))\n"
    "except RuntimeError as error:\n"
    "    print(error)"
)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (PLAIN, "torchvision 0"),
        (BROKEN, "torchvision 1"),
        (OTHER, "operator torchvision::roi_align does not exist"),
    ],
    ids=["works", "operators missing", "fails in another way"],
)
def test_operators_are_declared_only_where_they_are_missing(tmp_path, source, said):
    """A stand-in that fails as a torchvision does whose compiled part does not load."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/__init__.py").write_text(source)
    (tmp_path / "torchvision/half.py").write_text("")
    assert python(STAND_IN.format(folder=str(tmp_path))) == said
