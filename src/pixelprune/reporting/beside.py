"""What was put around the runs, and what else was asked of them: results_defended/ and measures/, read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pixelprune import artifacts
from pixelprune.errors import ArtifactError

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Defended:
    """One defense around the network of one run that prunes nothing, as the attack_defended stage wrote it."""

    place: str
    training: str
    seed: int
    defense: str
    card: Mapping[str, Any]
    compared: Sequence[Mapping[str, Any]]
    checks: Sequence[Mapping[str, Any]]
    rows: "pandas.DataFrame"
    corruptions: "pandas.DataFrame"
    detection: "pandas.DataFrame | None"
    """Whether a posterior's doubt tells attacked images apart: a row a way x score; None for all other defenses."""
    probability: "pandas.DataFrame | None"
    """How probable a robust draw of a posterior is: a row an image; None where nothing is drawn."""
    shown: Mapping[str, Mapping[str, NDArray[np.uint8]]]
    """By kind (clean, attacked) and by name, what becomes of the first images, themselves first: uint8 (N, 3, H, W).

    Empty where the defense leaves images as they are.
    """


@dataclass(frozen=True)
class Finding:
    """What one measure says of one run."""

    strategy: str
    training: str
    seed: int
    measure: str
    """Its key in params.yaml."""
    folder: Path
    summary: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The name of the measure, whatever key params.yaml gives it."""
        return str(self.summary["measure"]["name"])

    @property
    def place(self) -> str:
        return f"{self.strategy}/{self.training}/{self.seed}"

    def table(self, name: str) -> "pandas.DataFrame":
        return artifacts.load_table(self.folder / f"{name}.parquet")

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        """uint8 (H, W) or (H, W, 3), by name."""
        return {path.stem: _picture(path) for path in sorted(self.folder.glob("*.npy"))}


def defended(
    root: Path, control: str, trainings: Collection[str], seeds: Collection[int], defenses: Collection[str]
) -> list[Defended]:
    """control: the strategy whose runs are defended. Raises ArtifactError for a file that is missing or damaged."""
    grid = [(training, seed, defense) for training in trainings for seed in seeds for defense in defenses]
    return [_defended(root, control, *one) for one in grid]


def findings(
    root: Path,
    strategies: Collection[str],
    trainings: Collection[str],
    seeds: Collection[int],
    measures: Collection[str],
) -> dict[str, list[Finding]]:
    """By measure, of all runs. Raises ArtifactError for a file that is missing or damaged."""
    runs = [(strategy, training, seed) for training in trainings for strategy in strategies for seed in seeds]
    return {measure: [_finding(root, *run, measure) for run in runs] for measure in measures}


def refuse_other_threat(made: Mapping[str, Any], norm: str, eps: float, where: str, stage: str) -> None:
    """Raises ArtifactError unless this is the first of `threats`: DVC does not see that they changed their order."""
    if (made["norm"], made["eps"][-1]) != (norm, eps):
        raise ArtifactError(
            f"{where}: made under {made['norm']} {made['eps'][-1]:.3g}, but the first of `threats` is {norm} "
            f"{eps:.3g}. Run `dvc repro -f {stage}`."
        )


def _defended(root: Path, control: str, training: str, seed: int, defense: str) -> Defended:
    place = f"{control}/{training}/{seed}/{defense}"
    folder = root / "results_defended" / place
    card = artifacts.load_json(folder / "card.json")
    posterior = card["declares"]["posterior"]
    drawn = posterior and card["declares"]["randomised"]
    pictures = artifacts.load_tensors(folder / "examples/shown.safetensors") if card["shown"] else {}
    return Defended(
        place=place,
        training=training,
        seed=seed,
        defense=defense,
        card=card,
        compared=artifacts.load_json(folder / "compared.json"),
        checks=artifacts.load_json(folder / "checks.json"),
        rows=artifacts.load_table(folder / "rows.parquet"),
        corruptions=artifacts.load_table(folder / "corruptions.parquet"),
        detection=artifacts.load_table(folder / "detection.parquet") if posterior else None,
        probability=artifacts.load_table(folder / "probability.parquet") if drawn else None,
        shown={
            kind: {name: pictures[f"{kind}/{name}"].numpy() for name in card["shown"]}
            for kind in (("clean", "attacked") if pictures else ())
        },
    )


def _finding(root: Path, strategy: str, training: str, seed: int, measure: str) -> Finding:
    folder = root / "measures" / strategy / training / str(seed) / measure
    return Finding(strategy, training, seed, measure, folder, artifacts.load_json(folder / "summary.json"))


def _picture(path: Path) -> NDArray[np.uint8]:
    try:
        return artifacts.load_array(path, "uint8", "H W 3")
    except ArtifactError:
        return artifacts.load_array(path, "uint8", "H W")
