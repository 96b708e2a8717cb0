"""Where the numbers come from: params, hashes of every input, versions. No time, commit or machine: those change
without the numbers, and would make the page's bytes differ; `python -m pixelprune lineage` shows them."""

import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

PACKAGES = ("torch", "torchvision", "opencv-python", "numpy", "pandas", "torchattacks", "dvc")


def collected(values: Mapping[str, Any], lock: Path) -> dict[str, Any]:
    """{"params", "params_hash", "inputs", "versions"}.

    values: the content of params.yaml. Maps that no strategy uses are left out: they have no part in the numbers.
    lock: dvc.lock, which holds the hashes of what the stages before this one wrote; where it is missing, none is shown.
    """
    used = {strategy["map"] for strategy in values["strategies"].values()}
    shown = {**values, "maps": {key: entry for key, entry in values["maps"].items() if key in used}}
    text = yaml.safe_dump(shown, sort_keys=False, default_flow_style=None, width=100)
    return {
        "params": text,
        "params_hash": hashlib.sha256(text.encode()).hexdigest()[:12],
        "inputs": _hashes(lock, values, used),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _hashes(lock: Path, values: Mapping[str, Any], maps: set[str]) -> dict[str, str]:
    """Hash of every folder that the report stands on, as DVC recorded it."""
    if not lock.is_file():
        return {}
    runs = [f"{s}/{t}/{seed}" for s in values["strategies"] for t in values["trainings"] for seed in values["seeds"]]
    paths = ["data/raw", *(f"data/segments/{key}" for key in values["segmenters"])]
    paths += [*(f"data/maps/{key}" for key in sorted(maps)), *(f"data/pruned/{key}" for key in values["strategies"])]
    paths += [*(f"{folder}/{run}" for folder in ("models", "results") for run in runs), "transfer"]
    paths += [f"results_defended/{run}/{key}" for run in runs for key in values.get("defenses", {})]
    paths += [f"measures/{run}/{key}" for run in runs for key in values.get("measures", {})]
    stages = (yaml.safe_load(lock.read_text(encoding="utf-8")) or {}).get("stages", {})
    recorded = {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", []) if "md5" in out}
    return {path: recorded[path] for path in paths if path in recorded}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
