"""Clones of the product in which the real dvc runs a grid as small as it can be."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pixelprune.commands import deps

ROOT = Path(__file__).parents[2]
STRATEGIES = ("none", "foreground")


def tiny() -> dict[str, Any]:
    """The committed params.yaml, cut down to seconds. What is not named here is as committed."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    strategies = {key: values["strategies"][key] for key in STRATEGIES}
    used = {strategy["map"] for strategy in strategies.values()}
    return values | {
        "dataset": {"name": "signs", "train": 100, "test": 30, "size": 32, "validation": 0.2},
        "maps": {key: options for key, options in values["maps"].items() if key in used},
        "strategies": strategies,
        "network": values["network"] | {"widths": [4, 8]},
        "trainings": {"natural": values["trainings"]["natural"] | {"epochs": 2, "batch": 40}},
        "silhouette": values["silhouette"] | {"epochs": 1},
        "threats": {"linf": {"norm": "linf", "eps": ["4/255", "8/255"], "headline": "8/255"}},
        "ladder": {
            "noise": values["ladder"]["noise"] | {"draws": 1},
            "fgsm": values["ladder"]["fgsm"],
            "pgd": values["ladder"]["pgd"] | {"steps": 2},
        },
        "evaluation": {
            "images": 16,
            "check_images": 2,
            "check_queries": 20,
            "adaptive_images": 4,
            "adaptive_steps": 2,
            "adaptive_queries": 5,
            "planted_mask_images": 0,
            "corruptions": ["gaussian_noise"],
            "severities": [1],
            "corruption_images": 8,
        },
    }


@dataclass(frozen=True)
class Clone:
    """A clone of the product: tracked by git, run by dvc with the interpreter of these tests and its own sources."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> "Clone":
        """The files of the working tree, committed ones and others, as the first commit of a repository."""
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]
        rooms = [".dvc", ".dvcignore", ".gitignore", "dvc.yaml", "params.schema.json", "src", "stages", *deps.FOLDERS]
        names = subprocess.run([*listed, *rooms], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, root / name)
        made = cls(root)
        made.write_params(tiny())
        made.run("git", "init", "-q", "-b", "main")
        made.commit("the tiny grid")
        return made

    def copy(self, root: Path) -> "Clone":
        return Clone(Path(shutil.copytree(self.root, root, symlinks=True)))

    def environment(self, **more: str) -> dict[str, str]:
        person = {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        bare = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_"))}
        return bare | person | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(self.root / "src"),
            "DVC_SITE_CACHE_DIR": str(self.root.parent / f"{self.root.name}.site"),
            "COLUMNS": "100",
        } | more  # fmt: skip

    def start(self, *words: str, cwd: str = ".", **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            words, cwd=self.root / cwd, env=self.environment(**more), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, *words: str, cwd: str = ".") -> str:
        """What the command printed, which must succeed."""
        with self.start(*words, cwd=cwd) as process:
            output, _ = process.communicate()
        assert process.returncode == 0, f"{words}:\n{output}"
        return output

    def dvc(self, *words: str, cwd: str = ".") -> str:
        return self.run(sys.executable, "-m", "dvc", *words, cwd=cwd)

    def repro(self, *words: str, cwd: str = ".") -> set[str]:
        """The stages that `dvc repro` ran."""
        return ran(self.dvc("repro", *words, cwd=cwd))

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "--allow-empty", "-m", message)

    def params(self, folder: str = ".") -> dict[str, Any]:
        return yaml.safe_load((self.root / folder / "params.yaml").read_text())

    def write_params(self, values: dict[str, Any], folder: str = ".") -> None:
        (self.root / folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))

    def replace(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert text.count(old) == 1, f"{path} has {text.count(old)} of {old!r}"
        (self.root / path).write_text(text.replace(old, new))

    @property
    def lock(self) -> bytes:
        return (self.root / "dvc.lock").read_bytes()


def ran(output: str) -> set[str]:
    """The stages that dvc says it ran; without `dvc.yaml:` or the path of a study before the name."""
    return {name.rpartition(":")[2] for name in re.findall(r"Running stage '([^']+)'", output)}


def all_stages(strategies: tuple[str, ...] = STRATEGIES) -> set[str]:
    runs = {f"{stage}@{key}-natural-0" for stage in ("train", "attack") for key in strategies}
    used = {tiny()["strategies"][key]["map"] for key in strategies}
    once = {"download", "segment@grabcut", "transfer", "report"} | {f"importance@{key}" for key in used}
    return once | {f"prune@{key}" for key in strategies} | runs
