"""Writes a study folder of invented results in the real formats, so that the report can be tested in a second."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pixelprune import artifacts, sampling

CLASSES = ["stop", "yield", "speed limit", "keep right", "crossing", "priority", "no entry", "works"]
STRATEGIES: dict[str, dict[str, Any]] = {
    "none": {"map": "constant", "keep": 1, "fill": "black"},
    "foreground": {"map": "foreground", "keep": "own", "fill": "black"},
    "background": {"map": "background", "keep": "own", "fill": "black"},
    "shifted": {"map": "shifted", "keep": "own", "fill": "black"},
    "random": {"map": "random", "keep": 0.5, "fill": "black"},
    "smoothgrad": {"map": "smoothgrad", "keep": 0.5, "fill": "black"},
    "pca": {"map": "pca", "keep": 0.5, "fill": "black"},
}
TRAININGS: dict[str, dict[str, Any]] = {
    "natural": {"name": "natural", "epochs": 8},
    "adversarial": {"name": "n_fgsm", "epochs": 8, "eps": "8/255"},
}
THREATS: dict[str, dict[str, Any]] = {"linf": {"norm": "linf", "eps": ["2/255", "4/255", "8/255"], "headline": "8/255"}}
TRANSFERRED = {"id": "E29", "title": "transfer", "found": "0 fall", "threshold": "1 image", "severity": "F",
               "verdict": "pass"}  # fmt: skip
ADAPTIVE = 16
"""Attacked images under the adaptive access."""
LADDER: dict[str, dict[str, Any]] = {
    "noise": {"name": "noise"},
    "fgsm": {"name": "fgsm"},
    "pgd": {"name": "pgd", "steps": 20, "restarts": 1},
}
EPS = (2 / 255, 4 / 255, 8 / 255)
STRENGTH = {"noise": 0.15, "fgsm": 0.8, "pgd": 1.0}
SHARE = {"none": 1.0, "foreground": 0.36, "background": 0.64, "shifted": 0.36}
# How far a strategy's network is right on clean images, and how much an attack on it costs, in margins.
LEVEL = {
    "none": 3.2,
    "foreground": 3.0,
    "background": 0.6,
    "shifted": 1.1,
    "random": 2.6,
    "smoothgrad": 2.8,
    "pca": 2.2,
}
CORRUPTIONS = ("gaussian_noise", "shot_noise", "defocus_blur", "motion_blur", "fog", "brightness", "contrast", "jpeg")


def write(
    root: Path,
    *,
    count: int = 120,
    attacked: int = 80,
    seeds: tuple[int, ...] = (0,),
    gain: float = 0.6,
    classes: tuple[str, ...] = tuple(CLASSES),
    failed: dict[str, str] | None = None,
    strategies: dict[str, dict[str, Any]] | None = None,
    trainings: dict[str, dict[str, Any]] | None = None,
    name: str = "signs",
) -> None:
    """A whole study under `root`. `gain`: how much less an attack hurts the foreground's network than the full one.

    `failed`: the checks that fail in every run, id -> severity "F" or "W".
    """
    strategies = strategies or STRATEGIES
    trainings = trainings or TRAININGS
    labels = np.arange(count) % len(classes)
    ids = np.arange(10_000, 10_000 + count)
    images, masks = _drawn(labels, ids)
    raw = root / "data/raw"
    artifacts.save_array(raw / "test/images.npy", images)
    artifacts.save_array(raw / "test/labels.npy", labels.astype(np.int64))
    artifacts.save_array(raw / "test/ids.npy", ids.astype(np.int64))
    artifacts.save_array(raw / "test/groups.npy", ids.astype(np.int64))
    artifacts.save_array(raw / "test/masks.npy", masks)
    card = {
        "name": name,
        "classes": list(classes),
        "size": [32, 32],
        "groups": None,
        "masks": "drawn",
        "source": "here",
    }
    card |= {"counts": {"train": 4000, "validation": 400, "test": count}, "sha256": {"test/images.npy": "ab" * 32}}
    card |= {"status": "built in" if name == "signs" else "mirror", "terms": "free"}
    artifacts.save_json(raw / "card.json", card)
    for strategy, options in strategies.items():
        _prune(root, strategy, options, masks)
    for training in trainings:
        for seed in seeds:
            for strategy, options in strategies.items():
                place = f"{strategy}/{training}/{seed}"
                _run(root, place, options, labels, ids, attacked, gain, failed or {}, images, masks)
    places = [f"{s}/{t}/{seed}" for s in strategies for t in trainings for seed in seeds]
    artifacts.save_json(root / "transfer/checks.json", dict.fromkeys(places, TRANSFERRED))
    _transfer(root, places, ids[:24])


def _transfer(root: Path, places: list[str], ids: np.ndarray) -> None:
    draw = sampling.numpy_generator("transfer")
    tables = []
    for target in places:
        for source in places:
            if source != target:
                right = draw.random(len(ids)) < 0.7
                column = {"target": target, "source": source, "threat": "linf", "image": ids}
                tables.append(pd.DataFrame(column | {"stood": right, "right": right}))
    artifacts.save_table(root / "transfer/rows.parquet", pd.concat(tables, ignore_index=True))


def _drawn(labels: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Disks, triangles and squares over a noisy gradient: uint8 (N,32,32,3) and bool (N,32,32)."""
    y, x = np.mgrid[:32, :32] - 15.5
    shapes = [
        x**2 + y**2 < 110,
        (np.abs(x) < 10) & (np.abs(y) < 10),
        (y > -9) & (np.abs(x) < (y + 10) * 0.62) & (y < 10),
    ]
    images = np.empty((len(ids), 32, 32, 3), np.uint8)
    masks = np.empty((len(ids), 32, 32), bool)
    for row, image in enumerate(ids):
        draw = sampling.numpy_generator("synthetic", int(image))
        color = np.array([[200, 40, 40], [40, 80, 190], [230, 190, 40]])[labels[row] % 3]
        mask = np.roll(shapes[(labels[row] // 2) % 3], draw.integers(-4, 5, 2), (0, 1))
        ground = 90 + 4 * y[..., None] + draw.normal(0, 14, (32, 32, 3)) + draw.integers(-30, 30, 3)
        bar = (np.abs(x) < 3) & mask
        ground = np.where(mask[..., None], color, ground)
        ground = np.where(bar[..., None], 240, ground)
        images[row] = np.clip(ground + draw.normal(0, 6, (32, 32, 3)), 0, 255)
        masks[row] = mask
    return images, masks


def _mask(strategy: str, masks: np.ndarray, keep: Any) -> np.ndarray:
    if strategy == "background":
        return ~masks
    if strategy == "shifted":
        return np.roll(masks, (9, 13), (1, 2))
    if strategy.startswith("foreground"):
        return masks
    share = 1.0 if keep == 1 else float(keep)
    return sampling.numpy_generator(strategy).random(masks.shape) < share


def _prune(root: Path, strategy: str, options: dict[str, Any], masks: np.ndarray) -> None:
    keep = _mask(strategy, masks, options["keep"])
    folder = root / "data/pruned" / strategy
    artifacts.save_array(folder / "test.npy", np.packbits(keep.reshape(len(keep), -1), axis=1))
    dynamic = strategy in {"foreground", "background", "smoothgrad"}
    card = {
        "map": options["map"],
        "map_name": options["map"],
        "keep": options["keep"],
        "fill": {"name": options["fill"]},
        "oracle": False,
    }
    share = float(keep.mean())
    card |= {"behaviour": "dynamic" if dynamic else "static", "shares": {"train": share, "test": share}}
    card |= {"height": 32, "width": 32}
    artifacts.save_json(folder / "card.json", card)
    n = len(masks)
    right = n // 8 if not strategy.startswith("foreground") else n // 3
    artifacts.save_json(folder / "silhouette.json", {"right": right, "images": n, "guess": n // 8, "constant": False})
    noise = sampling.numpy_generator("map", strategy).random(masks.shape)
    artifacts.save_array(folder / "picture.npy", (255 * np.clip(keep * 0.6 + noise * 0.4, 0, 1)).astype(np.uint8))
    own = options["map"] in {"foreground", "background", "shifted"}
    if own and options["map"] == "foreground":
        artifacts.save_json(
            root / "data/segments/grabcut/card.json", {"name": "grabcut", "iou": {"train": 0.7, "test": 0.71}}
        )


def _run(root, place, options, labels, ids, attacked, gain, failed, images, masks) -> None:  # type: ignore[no-untyped-def]
    strategy, training, seed = place.split("/")
    kind = "foreground" if strategy.startswith("foreground") else strategy
    hard = sampling.numpy_generator("hard").normal(0, 1, len(ids))  # shared by all runs: some images are hard
    draw = sampling.numpy_generator(place)
    robust = training != "natural"
    level = LEVEL.get(kind, 2.5) - 0.6 * robust
    clean = -(level + 1.3 * hard + draw.normal(0, 0.5, len(ids)))
    classes = len(np.unique(labels))
    wrong = (labels + 1 + draw.integers(0, classes - 1, len(ids))) % classes

    def guess(margin: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.where(margin > 0, wrong[rows], labels[rows]).astype(np.int16)

    everyone = np.arange(len(ids))
    common = {"image": ids, "label": labels.astype(np.int16), "group": ids}
    folder = root / "results" / place
    artifacts.save_table(
        folder / "clean.parquet",
        pd.DataFrame(common | {"pred": guess(clean, everyone), "margin": clean.astype(np.float32)}),
    )
    subset = np.sort(sampling.numpy_generator("subset").permutation(len(ids))[:attacked])
    full_clean = clean
    if strategy != "none":
        none = sampling.numpy_generator(f"none/{training}/{seed}")
        full_clean = -(LEVEL["none"] - 0.6 * robust + 1.3 * hard + none.normal(0, 0.5, len(ids)))
    share = SHARE.get(kind, 1.0 if options["keep"] in (1, "own") else options["keep"])
    harm = (3.2 if robust else 14.0) * np.exp(0.25 * sampling.numpy_generator("harm").normal(0, 1, len(ids)))
    scale = {"full": 1.0, "budget": share**0.7, "location": share**0.7 * (1.25 if kind == "foreground" else 1.0)}
    scale["kept"] = share**0.6 * (1.25 - gain if kind == "foreground" else 1.0)
    tables = []
    accesses = ("full",) if strategy == "none" else ("budget", "location", "kept")
    dynamic = strategy in {"foreground", "background", "smoothgrad"}
    scale["adaptive"] = 1.2 * scale["kept"]
    for access in (*accesses, *(("adaptive",) if dynamic else ())):
        start = clean if access in {"kept", "adaptive"} else full_clean
        measured = subset[:ADAPTIVE] if access == "adaptive" else subset
        unbounded = [("unbounded", 1.0, "pgd")] if access in {"full", "kept"} else []
        for threat, eps, attack in [("linf", eps, attack) for eps in EPS for attack in LADDER] + unbounded:
            margin = start + harm * scale[access] * STRENGTH[attack] * (eps / EPS[-1] if threat == "linf" else 1e3)
            margin = np.where(start > 0, start, margin)
            if threat == "unbounded" and kind == "foreground" and access == "kept":
                margin = np.where(hard > 1.3, -0.2, margin)
            column = {"access": access, "threat": threat, "norm": "linf", "eps": eps, "attack": attack}
            column |= {"clean_pred": guess(start, everyone), "clean_margin": start.astype(np.float32)}
            column |= {"adv_pred": guess(margin, everyone), "adv_margin": margin.astype(np.float32)}
            column |= {"linf": np.float32(eps), "l2": np.float32(eps * 20), "changed_outside": np.int32(0)}
            column |= {"forward": np.int32(21), "backward": np.int32(20)}
            tables.append(pd.DataFrame(common | column).iloc[measured])
    artifacts.save_table(folder / "rows.parquet", pd.concat(tables, ignore_index=True))
    own = "full" if strategy == "none" else "kept"
    radius = np.where(clean > 0, 0, -clean / (harm * scale[own]) * EPS[-1])
    radius = np.where(radius > EPS[-1], np.inf, np.ceil(radius / EPS[-1] * 32) * EPS[-1] / 32)
    column = {"access": own, "threat": "linf", "norm": "linf", "largest": EPS[-1], "radius": radius}
    artifacts.save_table(folder / "smallest_eps.parquet", pd.DataFrame(common | column).iloc[subset[:ADAPTIVE]])
    artifacts.save_table(folder / "corruptions.parquet", _corrupted(common, clean, subset[:48], guess, draw))
    checks = [("E1", "F"), ("E2", "F"), ("E3", "F"), ("E4", "F"), ("E8", "F"), ("E11", "F"), ("E5", "F"), ("E14", "W")]
    artifacts.save_json(
        folder / "checks.json",
        [
            {"id": key, "title": f"check {key}", "found": "0 images", "threshold": "0 images",
             "severity": failed.get(key, severity), "verdict": "fail" if key in failed else "pass"}
            for key, severity in checks
        ] + [{"id": "E25", "title": "mask constancy", "found": "-", "threshold": "equal rows", "severity": "F",
              "verdict": "not applicable"}],
    )  # fmt: skip
    shown = subset[:24]
    keep = _mask(strategy, masks, options["keep"])[shown][:, None]
    original = images[shown].transpose(0, 3, 1, 2).astype(np.float32) / 255
    artifacts.save_array(folder / "examples/ids.npy", ids[shown].astype(np.int64))
    for access in accesses:
        step = np.sign(draw.normal(0, 1, original.shape)).astype(np.float32) * np.float32(EPS[-1])
        moved = np.clip(original + step * keep, 0, 1).astype(np.float32)
        artifacts.save_array(folder / f"examples/{access}_linf.npy", moved)
    card = {"strategy": strategy, "training": training, "seed": int(seed), "oracle": False}
    card |= {"behaviour": "dynamic" if dynamic else "static", "examined": "linf"}
    card |= {"attacked": attacked, "tested": len(ids), "passes": {"forward": 21 * attacked, "backward": 20 * attacked}}
    artifacts.save_json(folder / "card.json", card)
    model = root / "models" / place
    epochs = np.arange(1, 9)
    rise = 1 - np.exp(-epochs / 2.5)
    curve = {"epoch": epochs, "learning_rate": 0.1 * (1 - epochs / 9), "train_loss": 2 - 1.6 * rise}
    curve |= {"train_accuracy": 0.9 * rise, "validation_clean": 0.87 * rise, "validation_robust": 0.4 * rise * robust}
    artifacts.save_text(model / "curve.csv", pd.DataFrame(curve).to_csv(index=False, lineterminator="\n"))
    about = {"network": {"name": "residual", "widths": [24, 48, 96]}, "classes": 8, "parameters": 310_000}
    about |= {"macs": 9_600_000, "best_epoch": 7, "epochs": 8, "selected_by": "validation_robust", "alarm": None}
    artifacts.save_json(model / "card.json", about)


def _corrupted(common, clean, subset, guess, draw) -> pd.DataFrame:  # type: ignore[no-untyped-def]
    tables = []
    for order, corruption in enumerate(CORRUPTIONS):
        for severity in range(1, 6):
            margin = clean + (0.25 + 0.08 * order) * severity + draw.normal(0, 0.4, len(clean))
            column = {
                "corruption": corruption,
                "severity": np.int8(severity),
                "pred": guess(margin, np.arange(len(clean))),
            }
            tables.append(pd.DataFrame(common | column).iloc[subset])
    return pd.concat(tables, ignore_index=True)
