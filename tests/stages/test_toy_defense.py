"""The defense of docs/extending.md in a scratch clone: one file and one line, and it gets the whole evaluation."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas
import tiny_study

ROOT = tiny_study.ROOT
ENTRIES = {"rain: {name: rain, upsampling: bicubic}": "dithered: {name: dithered}", f"root: {ROOT}": "root: ../clone"}


def cloned(folder: Path) -> Path:
    """The sources of this repository, as they are, without what stages made."""
    clone = folder / "clone"
    for name in ("src", "stages"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return clone


def added(clone: Path) -> None:
    page = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    (block,) = [code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class Dithered(" in code]
    (clone / "src/pixelprune/defenses/dithered.py").write_text(block, encoding="utf-8")
    catalog = clone / "src/pixelprune/defenses/catalog.py"
    text = catalog.read_text(encoding="utf-8")
    line = "from pixelprune.defenses.dithered import Dithered\n"
    catalog.write_text(re.sub(r"Annotated\[", "Annotated[Dithered | ", text).replace("\nDefense", line + "\nDefense"))


def test_one_file_and_one_line(study: Path, tmp_path: Path) -> None:
    clone = cloned(tmp_path)
    added(clone)
    for old, new in ENTRIES.items():
        tiny_study.edit(study, old, new)
    environment = {**os.environ, "PYTHONPATH": str(clone / "src")}
    for stage in ("defend", "attack_defended"):
        command = [sys.executable, str(clone / f"stages/{stage}.py"), "natural", "0", "dithered"]
        done = subprocess.run(command, cwd=study, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    out = study / "results_defended/none/natural/0/dithered"
    rows = pandas.read_parquet(out / "rows.parquet")
    assert {"clean", "static", "transferred", "mean_2", "mean_3", "mean_4", "plain", "square", "rays"} == set(
        rows["way"]
    )
    assert (rows[rows["way"] == "mean_4"]["draws"] == 4).all()
    assert json.loads((out / "card.json").read_text())["declares"]["randomised"] is True
    checks = {check["id"]: check["verdict"] for check in json.loads((out / "checks.json").read_text())}
    assert checks["E15"] == "pass" and {"E2", "E9", "E16", "E20", "E31"} <= set(checks)
