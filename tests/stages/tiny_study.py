"""A study of seconds, its stages run as DVC runs them, and what a folder holds afterwards."""

import contextlib
import hashlib
import io
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PARAMS = f"""\
root: {ROOT}
dataset: {{name: signs, train: 120, test: 40, validation: 0.2, size: 24}}
segmenters:
  outline: {{name: outline}}
maps:
  constant: {{name: constant, reads: data/raw}}
  foreground: {{name: foreground, reads: data/segments/outline}}
strategies:
  none: {{map: constant, keep: 1, fill: black}}
  foreground: {{map: foreground, keep: own, fill: mean}}
network: {{name: residual, widths: [12], stride: 2}}
trainings:
  natural: {{name: natural, epochs: 6, batch: 24, validation_images: 8, validation_steps: 1}}
silhouette: {{name: natural, epochs: 1, batch: 24, validation_images: 1, validation_steps: 1}}
seeds: [0]
threats:
  linf: {{norm: linf, eps: [2/255, 4/255], headline: 4/255}}
ladder:
  noise: {{name: noise, draws: 2}}
  fgsm: {{name: fgsm}}
  pgd: {{name: pgd, steps: 3}}
evaluation:
  images: 16
  check_images: 2
  check_queries: 20
  adaptive_images: 4
  adaptive_steps: 2
  adaptive_queries: 5
  planted_mask_images: 0
  smallest_eps_images: 3
  background_images: 2
  background_times: [1, 4.5]
  corruptions: [contrast]
  severities: [3]
  corruption_images: 8
defenses:
  rain: {{name: rain, upsampling: bicubic}}
defended:
  images: 8
  costly: 4
  costliest: 2
  check_images: 2
  draws: [2, 3, 4]
  steps: 2
  plain_steps: 4
  queries: 5
  search_draws: 2
  verdict_draws: 4
  known_draws: 1
  planted_points: 19
  corruption_images: 2
  corruptions: [contrast]
  severities: [3]
measures:
  surface: {{name: surface, images: 2, side: 5}}
"""

STAGES = [
    ("download",), ("segment", "outline"), ("importance", "constant"), ("importance", "foreground"),
    ("prune", "none"), ("prune", "foreground"), ("train", "none", "natural", "0"),
    ("train", "foreground", "natural", "0"), ("attack", "none", "natural", "0"),
    ("attack", "foreground", "natural", "0"), ("transfer",),
    ("defend", "natural", "0", "rain"), ("attack_defended", "natural", "0", "rain"),
    ("measure", "none", "natural", "0", "surface"), ("measure", "foreground", "natural", "0", "surface"), ("report",),
]  # fmt: skip


def start(folder: Path, stage: str, *words: str, **environment: str) -> "subprocess.Popen[str]":
    """The stage as a process of its own, as `cmd` of dvc.yaml names it; its output can be read while it runs."""
    command = [sys.executable, str(ROOT / "stages" / f"{stage}.py"), *words]
    return subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environment}, text=True, encoding="utf-8",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(folder: Path, stage: str, *words: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, stdout, stderr."""
    process = start(folder, stage, *words, **environment)
    out, error = process.communicate(timeout=300)
    return process.returncode, out, error


def within(folder: Path, stage: str, *words: str) -> tuple[int, str, str]:
    """As `run`, inside this process: without the seconds in which another one imports what is here."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            call(stage, *words)
            status: int | str | None = 0
        except SystemExit as ending:
            status = ending.code
    assert isinstance(status, int)
    return status, out.getvalue(), error.getvalue()


def complaints(error: str) -> list[str]:
    """The lines of stderr but those of progress, which a slow machine gets to see."""
    return [line for line in error.splitlines() if not re.fullmatch(r"  .*(s left.*|, \d+ s)", line)]


def call(stage: str, *words: str) -> None:
    """The stage inside this process and the current folder."""
    before, sys.argv = sys.argv, [f"{stage}.py", *words]
    try:
        runpy.run_path(str(ROOT / "stages" / f"{stage}.py"), run_name="__main__")
    finally:
        sys.argv = before


def outputs(folder: Path) -> dict[str, str]:
    """The digest of every file but those that say how long things took or help to go on after a kill."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in names.items()
        if not name.startswith(".pixelprune/")
    }


def copied(source: Path, goal: Path) -> Path:
    """A copy of a study's folder, without the state that lets a killed stage go on."""
    shutil.copytree(source, goal, ignore=shutil.ignore_patterns(".pixelprune"))
    return goal


def edit(folder: Path, old: str, new: str) -> None:
    """Replaces a text that stands in params.yaml once."""
    path = folder / "params.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), encoding="utf-8")
