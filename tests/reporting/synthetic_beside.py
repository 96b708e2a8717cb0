"""Invented defended runs and measures in the real formats, with counts that a test can name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pixelprune import artifacts, sampling
from pixelprune.evaluation.check import Check, check
from pixelprune.evaluation.intervals import Rate
from pixelprune.harness.compared import compared
from pixelprune.harness.defended import COLUMNS

THREAT: dict[str, Any] = {"norm": "linf", "eps": [8 / 255]}
DRAWS = {"mean_20": 20, "mean_50": 50, "mean_100": 100, "bpda_10": 10, "square": 10, "rays": 10}
RAIN: dict[str, tuple[int, int]] = {
    "clean": (36, 40), "static": (4, 40), "transferred": (24, 40), "mean_20": (10, 40), "mean_50": (6, 20),
    "mean_100": (3, 8), "plain": (7, 20), "square": (15, 20), "rays": (16, 20),
}  # fmt: skip
"""By way: how many of how many images stand, the first ones."""
REVERSAL: dict[str, tuple[int, int]] = {
    "clean": (35, 40), "static": (4, 40), "transferred": (20, 40), "bpda": (6, 20), "unrolled": (5, 20),
    "bpda_10": (2, 8), "square": (7, 8), "rays": (7, 8),
}  # fmt: skip
PASSED = [
    check("E2", "adversarial images are feasible", "0 rows outside", "none", "F", True),
    check("E16", "more draws a step find no more", "of 20 images 6 stand", "1 image", "W", True),
    check("E33", "its posterior was attacked", "its draws are not of weights", "an attack", "F", None),
]


def defend(
    root: Path,
    place: str,
    counts: Mapping[str, tuple[int, int]] = RAIN,
    *,
    first: int = 10_000,
    checks: Sequence[Check] = PASSED,
    declares: Sequence[str] = ("randomised",),
    facts: Mapping[str, float] | None = None,
    shown: Mapping[str, NDArray[np.uint8]] | None = None,
) -> None:
    """place: none/training/seed/defense; the images' ids count up from `first`."""
    folder = root / "results_defended" / place
    draws = 50 if "randomised" in declares else 1
    rows = pd.concat([_way(way, *count, first, draws) for way, count in counts.items()], ignore_index=True)
    artifacts.save_table(folder / "rows.parquet", rows.astype(COLUMNS))
    artifacts.save_json(folder / "compared.json", compared(rows, sampling.numpy_generator(place)))
    artifacts.save_json(folder / "checks.json", list(checks))
    artifacts.save_table(folder / "corruptions.parquet", _corruptions(first))
    flags = ("randomised", "dynamic", "batch_coupled", "posterior")
    card = {
        "defense": {"name": place.rpartition("/")[2], "draws": 4},
        "declares": {flag: flag in declares for flag in flags},
        "cost": {"undefended_multiply_adds": 9_600_000, "draw": 1.25, "verdict": 1.25 * draws},
        "threat": THREAT,
        "effort": {"gamma": 0.075},
        "facts": dict(facts or {}),
        "shown": list(shown or {}),
    }
    if shown:
        pictures = {
            f"{kind}/{name}": torch.tensor(own) for kind in ("clean", "attacked") for name, own in shown.items()
        }
        artifacts.save_tensors(folder / "examples/shown.safetensors", pictures)
    artifacts.save_json(folder / "card.json", card)
    if "posterior" in declares:
        doubt = {"way": "transferred", "score": "entropy", "broken": 12, "auroc": 0.71, "low": 0.62, "high": 0.8}
        artifacts.save_table(folder / "detection.parquet", pd.DataFrame([doubt]))
    if {"posterior", "randomised"} <= set(declares):
        chance = {"image": first + np.arange(4), "probability": [0.125, 0.25, 0.375, 0.5]}
        artifacts.save_table(folder / "probability.parquet", pd.DataFrame(chance))


def _way(way: str, stands: int, images: int, first: int, draws: int) -> pd.DataFrame:
    right = np.arange(images) < stands
    ids = first + np.arange(images)
    columns = {
        "image": ids,
        "label": ids % 3,
        "group": ids,
        "way": way,
        "right_mean": right,
        "pred": np.where(right, ids % 3, (ids + 1) % 3),
    }
    columns |= {"right_majority": np.arange(images) < max(stands - 1, 0), "right_share": np.where(right, 0.75, 0.25)}
    columns |= {"margin": np.where(right, -1.0, 1.0), "undefended_clean_right": np.arange(images) < 38}
    columns |= {"linf": 8 / 255, "l2": 1.0, "forward": 21, "backward": 20, "draws": DRAWS.get(way, 1)}
    return pd.DataFrame(columns | {"verdict_draws": draws})


def _corruptions(first: int) -> pd.DataFrame:
    """Of 10 images: under fog 4 right before and 5 after, under jpeg 8 and 6, at each of two severities."""
    tables = []
    for name, (before, after) in {"fog": (4, 5), "jpeg": (8, 6)}.items():
        for severity in (1, 2):
            ids = first + np.arange(10)
            column = {"image": ids, "label": 0, "group": ids, "corruption": name, "severity": severity}
            wrong = {"pred": after, "undefended_pred": before}
            tables.append(pd.DataFrame(column | {key: (np.arange(10) >= n).astype(int) for key, n in wrong.items()}))
    return pd.concat(tables, ignore_index=True)


def rate(successes: int, n: int = 20) -> dict[str, Any]:
    found = Rate(successes, n)
    low, high = found.interval
    return {"share": found.share, "low": low, "high": high, "n": n}


def mean(value: float, n: int = 8) -> dict[str, Any]:
    return {"mean": value, "low": value - 0.05, "high": value + 0.05, "n": n}


def measure(
    root: Path,
    place: str,
    name: str,
    summary: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame] | None = None,
    pictures: Mapping[str, np.ndarray] | None = None,
) -> None:
    """place: strategy/training/seed/measure."""
    folder = root / "measures" / place
    artifacts.save_json(folder / "summary.json", {"measure": {"name": name, "images": 20}, "threat": THREAT, **summary})
    for key, table in (tables or {}).items():
        artifacts.save_table(folder / f"{key}.parquet", table)
    for key, picture in (pictures or {}).items():
        artifacts.save_array(folder / f"{key}.npy", picture)


def psi(median: float | None, robust: int, inside: bool = True) -> dict[str, Any]:
    where = {
        "median_psi": median, "mean_kl": 0.5, "one_over_mean_kl": 2.0, "mean_psi": None, "infinite": 0,
        "stands": rate(3), "robust_pgd10": rate(robust), "passes": 80.0, "passes_pgd10": 21.0,
    }  # fmt: skip
    temperature = {"value": 1.5, "inside": inside, "n": 1000}
    return {"n": 20, "norm": "linf", "eps": 8 / 255, "clean": rate(16), "temperature": temperature, "masked": where,
            "free": where}  # fmt: skip


def low_pass() -> dict[str, Any]:
    curve = {"10": rate(16), "2": rate(4), "4": rate(9)}
    own = {"low": curve, "high": curve, "lp_auc": rate(12), "rho50": 4.0}
    return {"clean": rate(16), "chance": 0.125, "ideal": own, "gaussian": own | {"rho50": None}, "reading": "words"}


CORRUPTIONS = {"gaussian_noise": (10, 8), "fog": (15, 5)}
"""Of 20 images, how many are right at severities 1 and 2."""


def corruptions(less: int = 0) -> tuple[dict[str, Any], pd.DataFrame]:
    """`less`: fewer right images everywhere."""
    tables, cells = [], {}
    for name, counts in {"none": (16,), **CORRUPTIONS}.items():
        for level, right in enumerate(counts, start=0 if name == "none" else 1):
            wrong = np.arange(20) >= right - less * (name != "none")
            key = {"image": np.arange(20), "label": 0, "corruption": name, "severity": level}
            tables.append(pd.DataFrame(key | {"pred": wrong.astype(int)}))
            cells[name, level] = rate(int((~wrong).sum()))
    of = {name: {str(level): cells[name, level] for level in (1, 2)} for name in CORRUPTIONS}
    by = {name: rate(sum(counts) - 2 * less, 40) for name, counts in CORRUPTIONS.items()}
    summary = {"clean": rate(16), "mean": rate(38 - 4 * less, 80) | {"corruptions": 2}, "mean without extras": None}
    return summary | {"by": by, "severities": of}, pd.concat(tables, ignore_index=True)


def map_quality() -> dict[str, Any]:
    scores = {"gradient": (0.2, 0.6), "random": (0.4, 0.5)}
    auc = {
        name: {"black": {"deletion": mean(low), "insertion": mean(high)}, "blur": {"deletion": mean(0.6 - low),
               "insertion": mean(high)}}
        for name, (low, high) in scores.items()
    }  # fmt: skip
    tau = {"deletion": {"black and blur": -1.0}, "insertion": {"black and blur": 1.0}}
    return {"images": 8, "maps": list(scores), "controls": ["random"], "clean_accuracy": 0.8, "auc": auc, "tau": tau,
            "least_tau": -1.0, "road_tau": 1.0, "baselines": "the ranking depends on the baseline"}  # fmt: skip


def every_measure(root: Path, places: Sequence[str]) -> list[str]:
    """All measures of all runs (strategy/training/seed), with pictures; returns their keys."""
    surface = np.full((33, 74, 3), 255, np.uint8)
    surface[:, :33] = (0, 114, 178)
    for number, place in enumerate(places):
        measure(root, f"{place}/psi", "psi", psi(1.0 + number, 2 + number))
        points = {"n": 10, "mean_probability": 0.875, "smallest_probability": 0.5, "mean_samples": 87.0,
                  "mean_saved": 205.0}  # fmt: skip
        robust = {"attack": "fast", "probability": 0.25, "low": 0.175, "high": 0.325, "known": True, "samples": 140,
                  "saved": 152}  # fmt: skip
        measure(root, f"{place}/chance", "probabilistic", {"gamma": 0.075, "clean": rate(16), "points": points,
                "robust": robust})  # fmt: skip
        both = {"accuracy": rate(12), "flips": rate(5)}
        kinds = ("adversarial", "universal", "uniform", "gaussian", "low_pass")
        gray = np.full((32, 32, 3), 127, np.uint8)
        measure(root, f"{place}/sensitivity", "sensitivity", {"clean": rate(16)} | dict.fromkeys(kinds, both),
                pictures={"universal": gray})  # fmt: skip
        measure(root, f"{place}/low_pass", "low_pass", low_pass(), pictures={"filtered": gray})
        bands = {key: {"error": 0.25, "frequencies": 9} for key in ("low", "middle", "high")}
        heat = np.arange(256, dtype=np.uint8).reshape(16, 16)
        measure(root, f"{place}/fourier", "fourier", {"clean": rate(16), "n": 20, "mean error": 0.3, "bands": bands,
                "worst": {"down": 3, "right": 4, "error": 0.65}}, pictures={"heat": heat})  # fmt: skip
        summary, table = corruptions(less=number % 3)
        measure(root, f"{place}/corruptions", "corruptions", summary, {"rows": table})
        measure(root, f"{place}/maps", "map_quality", map_quality(), pictures={"maps": gray})
        measure(root, f"{place}/surface", "surface", {"n": 2, "clean": rate(2, 2), "right_within_eps": rate(1, 2)},
                pictures={"surface": surface})  # fmt: skip
        measure(root, f"{place}/novel", "novel", {"n": 20, "depth": 0.123456, "by": {"low": mean(0.5)}, "words": "x"})
    return ["psi", "chance", "sensitivity", "low_pass", "fourier", "corruptions", "maps", "surface", "novel"]
