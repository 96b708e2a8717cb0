"""Reads the finished runs of a study into one value that every part of the report is made from."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pixelprune import artifacts, params
from pixelprune.attacks.threat import Threat
from pixelprune.errors import ArtifactError, ParamsError
from pixelprune.evaluation.intervals import Estimate, Rate
from pixelprune.reporting import beside

if TYPE_CHECKING:
    import pandas

FULL = "none"
"""The strategy that keeps every pixel; every study has it."""

CONTROLS = frozenset(
    {"constant", "shifted", "random", "blobs", "background", "centre", "blurred_random", "redrawn", "sobel"}
)
"""Maps that know neither the object nor the network: a strategy with one of them must not win."""


@dataclass(frozen=True)
class ThreatEntry:
    """A threat of params.yaml; eps ascending, in units of the pixel range [0, 1]."""

    name: str
    norm: str
    eps: tuple[float, ...]
    headline: float


@dataclass(frozen=True)
class Pruned:
    """What is known of a strategy before any training. `silhouette`: how well the mask alone tells the class."""

    name: str
    options: Mapping[str, Any]
    card: Mapping[str, Any]
    silhouette: Mapping[str, Any] | None

    @property
    def control(self) -> bool:
        return self.kind in CONTROLS

    @property
    def kind(self) -> str:
        """The name of the map, whatever key params.yaml gives it."""
        return str(self.card["map_name"])

    @property
    def oracle(self) -> bool:
        return bool(self.card.get("oracle"))

    @property
    def silhouette_rate(self) -> Estimate | None:
        """Accuracy of the classifier that sees the mask alone, with its interval."""
        if self.silhouette is None:
            return None
        rate = Rate(int(self.silhouette["right"]), int(self.silhouette["images"]))
        return Estimate(rate.share, *rate.interval, rate.n)

    @property
    def guess(self) -> float:
        """Accuracy of always naming the most frequent class."""
        return self.silhouette["guess"] / self.silhouette["images"] if self.silhouette else 0.0

    @property
    def outline_tells(self) -> bool | None:
        """Whether the mask alone is shown to tell more than the most frequent class; None where not measured."""
        rate = self.silhouette_rate
        return None if rate is None else rate.low > self.guess

    @property
    def kept(self) -> float:
        """Share of the test images' pixels that are kept, (0, 1]."""
        return float(self.card["shares"]["test"])


@dataclass(frozen=True)
class Run:
    """One strategy x training x seed. The tables are as the attack stage wrote them; the rows have one attack more, of
    what the transfer stage broke.
    """

    strategy: str
    training: str
    seed: int
    folder: Path
    card: Mapping[str, Any]
    model: Mapping[str, Any]
    checks: Sequence[Mapping[str, Any]]
    clean: "pandas.DataFrame"
    rows: "pandas.DataFrame"
    corruptions: "pandas.DataFrame"
    curve: "pandas.DataFrame"
    background: "pandas.DataFrame | None"
    """Rows under other budgets of the background; None where the study does not ask for them."""
    smallest: "pandas.DataFrame | None"
    """The smallest eps that breaks each image; None where the study does not ask for it."""

    @cached_property
    def corrupted(self) -> dict[tuple[str, int], NDArray[np.bool_]]:
        """(corruption, severity), in the order of the table -> right or not, images in ascending order of their ids."""
        table = self.corruptions.sort_values("image", kind="stable")
        names, levels = table["corruption"].to_numpy(), table["severity"].to_numpy()
        right = (table["pred"] == table["label"]).to_numpy(np.bool_)
        order = dict.fromkeys(zip(self.corruptions["corruption"], self.corruptions["severity"], strict=True))
        return {(str(name), int(level)): right[(names == name) & (levels == level)] for name, level in order}

    @property
    def place(self) -> str:
        return f"{self.strategy}/{self.training}/{self.seed}"


@dataclass(frozen=True)
class Results:
    root: Path
    data: Mapping[str, Any]
    strategies: Mapping[str, Pruned]
    trainings: Mapping[str, Mapping[str, Any]]
    seeds: tuple[int, ...]
    threats: Mapping[str, ThreatEntry]
    ladder: Mapping[str, Mapping[str, Any]]
    runs: Mapping[tuple[str, str, int], Run]
    segmenters: Mapping[str, Mapping[str, Any]]
    transfer: "pandas.DataFrame"
    """One row a target x source x threat x image: whether the image stood, and is right on the source's point."""
    defended: Sequence[beside.Defended] = ()
    measured: Mapping[str, Sequence[beside.Finding]] = field(default_factory=dict)
    """By the measure's key in params.yaml, of every run."""

    def of(self, strategy: str, training: str) -> list[Run]:
        """The runs of all seeds, in the order of the seeds."""
        return [self.runs[strategy, training, seed] for seed in self.seeds]

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs.values())


def read(
    root: Path,
    *,
    strategies: Mapping[str, Mapping[str, Any]],
    trainings: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    threats: Mapping[str, Mapping[str, Any]],
    ladder: Mapping[str, Mapping[str, Any]],
    defenses: Collection[str] = (),
    measures: Collection[str] = (),
) -> Results:
    """The results under `root` of exactly the runs that the params name; other folders are not looked at.

    defenses, measures: their keys in params.yaml.

    Raises ParamsError without the strategy `none` or for a threat that is none; ArtifactError for a file that is
    missing or damaged.
    """
    if FULL not in strategies:
        raise ParamsError(
            f"params.yaml: strategies has no `{FULL}` (map: constant, keep: 1); the report compares with it"
        )
    from pixelprune.evaluation.transferred import with_transferred

    checks, tried = (
        artifacts.load_json(root / "transfer/checks.json"),
        artifacts.load_table(root / "transfer/rows.parquet"),
    )
    entries = {name: _threat(name, options) for name, options in threats.items()}
    headlines = {name: entry.headline for name, entry in entries.items()}
    runs = {}
    for training in trainings:
        for strategy in strategies:
            for seed in seeds:
                run = _run(root, strategy, training, seed, checks)
                own = tried[tried["target"] == run.place]
                access = "full" if strategy == FULL else "kept"
                rows = with_transferred(run.rows, own, access, headlines)
                runs[strategy, training, seed] = replace(run, rows=rows)
    measured = beside.findings(root, strategies, trainings, seeds, measures)
    first = next(iter(entries.values()))
    for one in (finding for findings in measured.values() for finding in findings):
        beside.refuse_other_threat(one.summary["threat"], first.norm, first.headline, str(one.folder), "measure")
    return Results(
        root=root,
        data=artifacts.load_json(root / "data/raw/card.json"),
        strategies={name: _pruned(root, name, options) for name, options in strategies.items()},
        trainings=trainings,
        seeds=tuple(seeds),
        threats=entries,
        ladder=ladder,
        runs=runs,
        segmenters=_segmenters(root),
        transfer=tried,
        defended=beside.defended(root, FULL, trainings, seeds, defenses),
        measured=measured,
    )


def _threat(name: str, options: Mapping[str, Any]) -> ThreatEntry:
    threat: Threat = params.validated(options, Threat, f"threats.{name}.")
    return ThreatEntry(name, threat.norm, threat.eps, threat.headline)


def _pruned(root: Path, name: str, options: Mapping[str, Any]) -> Pruned:
    folder = root / "data/pruned" / name
    silhouette = folder / "silhouette.json"
    return Pruned(
        name=name,
        options=options,
        card=artifacts.load_json(folder / "card.json"),
        silhouette=artifacts.load_json(silhouette) if silhouette.exists() else None,
    )


def _run(root: Path, strategy: str, training: str, seed: int, transferred: Mapping[str, Any]) -> Run:
    """transferred: the check of the transfer stage, by the place of the run."""
    place = f"{strategy}/{training}/{seed}"
    results, model = root / "results" / place, root / "models" / place
    return Run(
        strategy=strategy,
        training=training,
        seed=seed,
        folder=results,
        card=artifacts.load_json(results / "card.json"),
        model=artifacts.load_json(model / "card.json"),
        checks=[*artifacts.load_json(results / "checks.json"), transferred[place]],
        clean=artifacts.load_table(results / "clean.parquet"),
        rows=artifacts.load_table(results / "rows.parquet"),
        corruptions=artifacts.load_table(results / "corruptions.parquet"),
        curve=_curve(model / "curve.csv"),
        background=_optional(results / "background.parquet"),
        smallest=_optional(results / "smallest_eps.parquet"),
    )


def _optional(path: Path) -> "pandas.DataFrame | None":
    return artifacts.load_table(path) if path.exists() else None


def _curve(path: Path) -> "pandas.DataFrame":
    import pandas

    try:
        return pandas.read_csv(path)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file. {artifacts.AGAIN}") from None
    except ValueError as error:
        raise ArtifactError(f"{path}: not a CSV table ({error}). Delete it and run `dvc repro`.") from None


def _segmenters(root: Path) -> dict[str, Mapping[str, Any]]:
    """The cards of the segmenters, with their overlap (IoU) with the annotation where there is one."""
    cards = sorted((root / "data/segments").glob("*/card.json"))
    return {card.parent.name: artifacts.load_json(card) for card in cards}
