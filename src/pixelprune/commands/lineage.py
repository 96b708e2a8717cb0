"""Show what the results of this study came from: lineage [--json]

The commit, the machine, the versions of packages, the time of each stage, and the hash of every input and output.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from pixelprune import cli
from pixelprune.errors import ArtifactError

LOCK = Path("dvc.lock")
CGROUP = Path("/sys/fs/cgroup")
"""Where a container says how much of its machine it may use."""


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m pixelprune lineage", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="everything, hashes in full, for another program")
    as_json = parser.parse_args(words).json
    found = lineage()
    if as_json:
        print(json.dumps(found, indent=1, sort_keys=True))
    else:
        show(found)
    return 0


def lineage() -> dict[str, Any]:
    return {
        "commit": commit(),
        "hardware": hardware(),
        "versions": versions(),
        "seconds": cli.times(Path()),
        "hashes": hashes(),
    }


def commit() -> str | None:
    """The commit, "+" behind it where tracked files differ from it; None outside of git."""
    head = _output("git", "rev-parse", "HEAD")
    return f"{head}+" if head and _output("git", "status", "--porcelain", "--untracked-files=no") else head


def hardware() -> dict[str, Any]:
    """What this machine is, or what this container may use of it; the results may have been made on another one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    names = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    quota, period = _allowed("cpu.max", 2) or (cores, 1)
    (most,) = _allowed("memory.max", 1) or (memory,)
    cores, memory = max(min(cores, quota // period), 1), min(memory, most)
    return {
        "cpu": _cpu(),
        "cores": cores,
        "memory_gib": round(memory / 2**30, 1) if memory else None,
        "gpu": names.splitlines() if names else [],
        "system": platform.platform(),
    }


def _allowed(name: str, numbers: int) -> list[int] | None:
    """The numbers in a file of the control group; None where there is no limit."""
    try:
        found = [int(word) for word in (CGROUP / name).read_text(encoding="utf-8").split()]
    except (OSError, ValueError):  # "max" where there is none
        return None
    return found if len(found) == numbers else None


def versions() -> dict[str, str]:
    """Of Python, of this package and of all that it asks for without an extra."""
    asked = [ask for ask in metadata.requires("pixelprune") or [] if "extra ==" not in ask]
    names = ["pixelprune", *sorted(re.split(r"[^\w.-]", ask)[0] for ask in asked)]
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in names}


def hashes() -> dict[str, dict[str, str]]:
    """{stage: {path: hash}} of dvc.lock: files and folders that went in ("deps") and came out ("outs").

    DVC leaves the entries of removed stages there; they are left out where dvc.yaml can be read.
    """
    try:
        stages = yaml.load(LOCK.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["stages"]
    except FileNotFoundError:
        raise ArtifactError(f"{LOCK}: no such file. Run `dvc repro` in the folder of a study.") from None
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ArtifactError(f"{LOCK}: not what DVC writes ({' '.join(str(error).split())}).") from None
    there = _stages()
    return {
        name: {entry["path"]: entry.get("md5", "") for entry in _entries(stage)}
        for name, stage in stages.items() if there is None or name in there
    }  # fmt: skip


def show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    machine = found["hardware"]
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_row("commit", found["commit"] or "not in git")
    memory = f", {machine['memory_gib']} GiB" if machine["memory_gib"] else ""
    facts.add_row("machine", f"{machine['cpu']}, {machine['cores']} cores{memory}, {machine['system']}")
    facts.add_row("gpu", ", ".join(machine["gpu"]) or "none")
    facts.add_row("versions", ", ".join(f"{name} {version}" for name, version in found["versions"].items()))
    console.print(facts)
    table = Table("stage", "seconds", "path", "hash", box=None, pad_edge=False, header_style="bold")
    for stage, files in found["hashes"].items():
        sources = {path: digest for path, digest in files.items() if path.endswith(".py")}
        rows = [(path, digest[:12]) for path, digest in files.items() if path not in sources]
        rows += [(f"sources: {len(sources)}", "see --json")] if sources else []
        seconds = found["seconds"].get(stage)
        for first, row in enumerate(rows or [("", "")]):
            table.add_row(*(("", "") if first else (stage, "" if seconds is None else f"{seconds:.1f}")), *row)
    table.columns[1].justify = "right"
    console.print(table)
    there = [seconds for stage, seconds in found["seconds"].items() if stage in found["hashes"]]
    if there:
        console.print(f"{sum(there):.0f} s in all, on the machine that ran them")


def _stages() -> set[str] | None:
    """The stages of dvc.yaml with the present params.yaml; None where DVC cannot read them."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return {stage.addressing for stage in repo.stage.collect("dvc.yaml")}
    except DvcException:
        return None


def _entries(stage: dict[str, Any]) -> list[dict[str, str]]:
    return [*stage.get("deps", []), *stage.get("outs", [])]


def _cpu() -> str:
    try:
        name = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        name = None
    return name[1] if name else platform.processor() or platform.machine()


def _output(*command: str) -> str | None:
    """What a program says; None where it is not there or fails."""
    if not shutil.which(command[0]):
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
