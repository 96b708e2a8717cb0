"""What params.yaml holds as a whole: one data set and one grid."""

from itertools import combinations
from typing import Annotated

from pydantic import Field

from pixelprune import params
from pixelprune.attacks.catalog import Attack
from pixelprune.attacks.threat import Threat
from pixelprune.datasets.catalog import Dataset
from pixelprune.defenses.catalog import Defense
from pixelprune.errors import ParamsError
from pixelprune.evaluation import transferred
from pixelprune.evaluation.rows import UNBOUNDED
from pixelprune.harness.effort import Effort
from pixelprune.harness.settings import Evaluation
from pixelprune.maps.catalog import Map
from pixelprune.measures.catalog import Measure
from pixelprune.models.catalog import Network
from pixelprune.options import Key, Listed, Once, Options
from pixelprune.pruning import Strategy
from pixelprune.segmenters.catalog import Segmenter
from pixelprune.training.catalog import Learning, Training

FULL = "none"
"""The strategy that prunes nothing: the model that every other is compared with."""


class Study(Options):
    """The sections of params.yaml. A run is a strategy, a training and a seed."""

    root: str = Field(description="Path from the study's folder to the root of the repository.")
    dataset: Dataset
    segmenters: dict[Key, Segmenter]
    maps: dict[Key, Map]
    strategies: dict[Key, Strategy]
    network: Network
    trainings: Annotated[dict[Key, Training], Field(min_length=1)]
    silhouette: Learning = Field(description="How the network learns that sees nothing but the mask.")
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Listed, Once, Field(min_length=1)]
    threats: Annotated[dict[Key, Threat], Field(min_length=1)]
    ladder: Annotated[dict[Key, Attack], Field(min_length=1)]
    evaluation: Evaluation
    defenses: dict[Key, Defense] = Field(description="What is put around the models that prune nothing.")
    defended: Effort = Field(Effort(), description="How hard defended models are attacked.")
    measures: dict[Key, Measure] = Field(description="What else is asked of every run.")

    @property
    def runs(self) -> list[tuple[str, str, int]]:
        return [(s, t, seed) for s in self.strategies for t in self.trainings for seed in self.seeds]


def load() -> Study:
    """The study of the current folder, checked as a whole. Raises ParamsError that lists every mistake."""
    study: Study = params.validated(params.read(), Study)
    check(study)
    return study


def check(study: Study) -> None:
    """What no entry can know by itself: that the entries fit together. Raises ParamsError."""
    mistakes = [
        *_strategies(study),
        *_maps(study),
        *_evaluation(study),
        *_defenses(study),
        *_ladder(study),
        *_taken(study),
    ]
    if not study.segmenters:
        mistakes.append("segmenters: found none, expected at least one, whose folder the report reads; grabcut will do")
    if mistakes:
        lines = "\n".join(f"  {line}" for line in mistakes)
        raise ParamsError(f"{params.FILE}: {len(mistakes)} to fix\n{lines}")


def _strategies(study: Study) -> list[str]:
    mistakes = []
    full = study.strategies.get(FULL)
    if full is None or full.keep != 1:
        mistakes.append(f"strategies.{FULL}: needed, with keep: 1; it is the model that the others are compared with")
    for key, strategy in study.strategies.items():
        own_map = study.maps.get(strategy.map)
        if own_map is None:
            near = params.near(strategy.map, list(study.maps))
            mistakes.append(f"strategies.{key}.map: no map {strategy.map!r} among maps{near}")
        elif strategy.keep == "own" and not own_map.has_region:
            mistakes.append(f"strategies.{key}.keep: map {strategy.map!r} ({own_map.name}) has no region of its own")
    return mistakes


def _maps(study: Study) -> list[str]:
    mistakes = []
    segments = [f"data/segments/{key}" for key in study.segmenters]
    for key, entry in study.maps.items():
        if entry.needs == "foreground" and entry.reads not in segments:
            known = ", ".join(segments) or "none: segmenters is empty"
            mistakes.append(f"maps.{key}.reads: found {entry.reads!r}, expected a segmenter's output: {known}")
        elif entry.needs == "model" and entry.reads not in [f"models/{s}/{t}/{seed}" for s, t, seed in study.runs]:
            mistakes.append(f"maps.{key}.reads: found {entry.reads!r}, expected a run: models/STRATEGY/TRAINING/SEED")
        elif entry.needs == "model" and key in _behind(study, entry.reads):
            mistakes.append(f"maps.{key}.reads: {entry.reads!r} is trained with this very map; read a run of {FULL}")
        elif entry.needs == "nothing" and entry.reads != "data/raw":
            mistakes.append(f"maps.{key}.reads: found {entry.reads!r}, expected 'data/raw'")
    return mistakes


def _evaluation(study: Study) -> list[str]:
    runs = {f"{strategy}/{training}" for strategy, training, _ in study.runs}
    return [
        f"evaluation.autoattack: found {name!r}, expected a run of the study: STRATEGY/TRAINING"
        for name in study.evaluation.autoattack
        if name not in runs
    ]


def _ladder(study: Study) -> list[str]:
    return [
        f"ladder.{second}: the same as ladder.{first}, and would find the same points; leave one out, or set restarts"
        for (first, attack), (second, other) in combinations(study.ladder.items(), 2)
        if attack == other
    ]


def _taken(study: Study) -> list[str]:
    """Names that tables give to rows of their own."""
    taken = [f"threats.{UNBOUNDED}"] * (UNBOUNDED in study.threats)
    taken += [f"ladder.{transferred.ATTACK}"] * (transferred.ATTACK in study.ladder)
    return [f"{place}: tables use this name for rows of their own; choose another" for place in taken]


def _defenses(study: Study) -> list[str]:
    mistakes = []
    if study.defenses and "defended" not in study.model_fields_set:
        mistakes.append("defended: needed where there are defenses, as DVC reads it; {} takes the defaults")
    given = [key for key, training in study.trainings.items() if training.name == "pretrained"]
    for key, defense in study.defenses.items():
        if given and defense.name == "ensemble":
            mistakes.append(f"defenses.{key}: trained anew, as the weights of trainings.{given[0]} cannot be")
    return mistakes


def _behind(study: Study, reads: str) -> set[str]:
    """The maps that must be there before the run of a `reads` can be trained."""
    found: set[str] = set()
    while reads.startswith("models/"):
        strategy = study.strategies.get(reads.split("/")[1])
        if strategy is None or strategy.map not in study.maps or strategy.map in found:
            break
        found.add(strategy.map)
        reads = study.maps[strategy.map].reads
    return found
