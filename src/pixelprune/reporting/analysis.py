"""Every number of the report, computed from the per-image rows, each with its interval and n."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelprune.evaluation.bootstrap import mean_interval
from pixelprune.evaluation.decomposition import Decomposition, decompose
from pixelprune.evaluation.holm import holm
from pixelprune.evaluation.intervals import Estimate
from pixelprune.evaluation.mcnemar import mcnemar
from pixelprune.evaluation.moving import Moving, moving
from pixelprune.evaluation.rows import UNBOUNDED
from pixelprune.evaluation.share import share as mean_share
from pixelprune.evaluation.worst_case import groups, standing
from pixelprune.reporting.collect import FULL, Results, Run, ThreatEntry
from pixelprune.reporting.judged import Judged, judge
from pixelprune.sampling import numpy_generator

ALPHA = 0.05


@dataclass(frozen=True)
class Comparison:
    """Robust accuracy against another strategy's, on the same images.

    p: exact McNemar of the two networks, the largest over the seeds; adjusted: Holm, over all tests of the report.
    """

    other: str
    difference: Estimate
    p: float
    adjusted: float
    bounded: bool = False
    """The one that is ahead has only an upper bound: what it is ahead by shows nothing."""

    @property
    def differs(self) -> bool:
        """Both the test, after the correction, and the interval say that there is a difference of what was measured."""
        return self.adjusted <= ALPHA and self.difference.excludes_zero

    @property
    def shown(self) -> bool:
        return self.differs and not self.bounded


@dataclass(frozen=True)
class Entry:
    """A strategy x training under one threat at its headline eps, over all seeds. Shares in [0, 1]."""

    strategy: str
    training: str
    clean: Estimate
    """All test images."""
    clean_difference: Estimate
    """Against none, all test images."""
    robust: Estimate
    """Worst case over the ladder: access kept, for none full. The attacked images."""
    leak: Estimate | None
    """Robust accuracy where every kept pixel may take every value."""
    corrupted: Estimate | None
    """Mean over corruptions and severities; None where the study has none."""
    decomposition: Decomposition | None
    """None for the strategy none."""
    moving: Moving | None
    """The adaptive access; None for none, for an oracle, and where it was not measured."""
    against_none: Comparison | None
    against_control: Comparison | None
    judged: Judged

    @property
    def name(self) -> str:
        return f"{self.strategy}/{self.training}"

    @property
    def adaptive(self) -> Estimate | None:
        """Where the attacker writes everywhere and the mask, if there is one, answers; None where not measured."""
        if self.strategy == FULL:
            return self.robust
        return self.moving.robust if self.moving else None


@dataclass(frozen=True)
class Analysis:
    threat: ThreatEntry
    entries: Mapping[tuple[str, str], Entry]
    control: str | None
    """The strategy that the others are held against: the foreground's mask moved, else random pixels."""
    focus: str | None
    """The strategy that the question is about: the foreground where there is one."""
    training: str
    """The training that the first screen speaks of: that under which `none` is the most robust."""
    family: int
    """How many tests Holm's correction covers: those of the report, under all its threats."""
    attacked: int
    tested: int

    @property
    def head(self) -> Entry | None:
        return None if self.focus is None else self.entries[self.focus, self.training]

    @property
    def full(self) -> Entry:
        return self.entries[FULL, self.training]


def analyze(results: Results, threat: ThreatEntry) -> Analysis:
    focus = _focus(results)
    control = _control(results, focus)
    compared = _comparisons(results, threat, control)
    entries = {
        (strategy, training): _entry(results, threat, strategy, training, compared)
        for training in results.trainings
        for strategy in results.strategies
    }
    entries = {key: _believed(entry, entries) for key, entry in entries.items()}
    training = max(results.trainings, key=lambda name: entries[FULL, name].robust.value)
    first = next(iter(results))
    return Analysis(
        threat=threat,
        entries=entries,
        control=control,
        focus=focus,
        training=training,
        family=len(compared) * len(results.threats),
        attacked=first.rows["image"].nunique(),
        tested=len(first.clean),
    )


def _believed(entry: Entry, entries: Mapping[tuple[str, str], Entry]) -> Entry:
    """Differences as far as both sides are believed.

    One would print the number of the other side too: it is left out where either side is invalid.
    """

    def kept(compared: Comparison | None) -> Comparison | None:
        if compared is None:
            return None
        other = entries[compared.other, entry.training]
        if not (entry.judged.printable and other.judged.printable):
            return None
        ahead = entry if compared.difference.value > 0 else other
        return replace(compared, bounded=ahead.judged.word == "upper bound")

    return replace(entry, against_none=kept(entry.against_none), against_control=kept(entry.against_control))


def share(right: NDArray[np.bool_], of_image: NDArray[Any], *words: str) -> Estimate:
    """The share of bool (S, N), its resampling seeded by the words."""
    return mean_share(right, of_image, numpy_generator("report", *words))


def robust(runs: Sequence[Run], threat: str, eps: float, access: str) -> NDArray[np.bool_]:
    """Which attacked images stand, bool (S, N), images in ascending order of their ids."""
    return np.stack([standing(run.rows, access, threat, eps).to_numpy(np.bool_) for run in runs])


def own_access(strategy: str) -> str:
    return "full" if strategy == FULL else "kept"


def _entry(
    results: Results,
    threat: ThreatEntry,
    strategy: str,
    training: str,
    compared: Mapping[tuple[str, str, str], Comparison],
) -> Entry:
    runs, full = results.of(strategy, training), results.of(FULL, training)
    words = (strategy, training, threat.name)
    of_image, of_test = groups(runs[0].rows).to_numpy(), _sorted(runs[0].clean)["group"].to_numpy()
    clean, clean_full = _clean(runs), _clean(full)
    access = own_access(strategy)
    unbounded = all((run.rows["threat"] == UNBOUNDED).any() for run in runs)
    decomposition = answered = None
    if strategy != FULL:
        tables = [[run.rows for run in some] for some in (full, runs)]
        place = (tables[0], tables[1], threat.name, threat.headline)
        decomposition = decompose(*place, numpy_generator("decomposition", *words))
        if not results.strategies[strategy].oracle:
            fixed = runs[0].card["behaviour"] == "static"
            answered = moving(*place, numpy_generator("moving", *words), fixed=fixed)
    return Entry(
        strategy=strategy,
        training=training,
        clean=share(clean, of_test, "clean", *words),
        clean_difference=paired(clean, clean_full, of_test, "clean", *words),
        robust=share(robust(runs, threat.name, threat.headline, access), of_image, "robust", *words),
        leak=share(robust(runs, UNBOUNDED, 1.0, access), of_image, "leak", *words) if unbounded else None,
        corrupted=corrupted(runs),
        decomposition=decomposition,
        moving=answered,
        against_none=compared.get((strategy, training, FULL)),
        against_control=next(
            (c for (s, t, o), c in compared.items() if (s, t) == (strategy, training) and o != FULL), None
        ),
        judged=judge(runs, threat.name),
    )


def _sorted(table: Any) -> Any:
    return table.sort_values("image", kind="stable")


def _clean(runs: Sequence[Run]) -> NDArray[np.bool_]:
    return np.stack([(run["pred"] == run["label"]).to_numpy(np.bool_) for run in (_sorted(run.clean) for run in runs)])


def corrupted(runs: Sequence[Run], corruption: str | None = None, severity: int | None = None) -> Estimate | None:
    """Accuracy, a mean over the corruptions and severities that are not named; the interval is over images."""
    if any(run.corruptions.empty for run in runs):
        return None
    named = [key for key in runs[0].corrupted if corruption in (None, key[0]) and severity in (None, key[1])]
    of_image = runs[0].corruptions.drop_duplicates("image").sort_values("image")["group"].to_numpy()
    words = ("corrupted", runs[0].strategy, runs[0].training, corruption or "all", str(severity or "all"))
    if len(named) == 1:
        return share(np.stack([run.corrupted[named[0]] for run in runs]), of_image, *words)
    means = np.stack([np.mean([run.corrupted[key] for key in named], axis=0) for run in runs])
    return mean_interval(means, of_image, numpy_generator(*words), resamples=2000)


def paired(a: NDArray[np.bool_], b: NDArray[np.bool_], of_image: NDArray[Any], *words: str) -> Estimate:
    """The share of `a` less that of `b`, bool (S, N) both, image by image; its resampling seeded by the words."""
    return mean_interval(a.astype(np.int8) - b.astype(np.int8), of_image, numpy_generator("difference", *words))


def _comparisons(results: Results, threat: ThreatEntry, control: str | None) -> dict[tuple[str, str, str], Comparison]:
    """Every strategy against none and against the control under one threat, keys (strategy, training, other).

    The tests under all threats are one family for Holm: the report shows all of them.
    """
    p: dict[tuple[str, str, str, str], float] = {}
    differences: dict[tuple[str, str, str], Estimate] = {}
    for one, training in product(results.threats.values(), results.trainings):
        stands = {
            name: robust(results.of(name, training), one.name, one.headline, own_access(name))
            for name in results.strategies
        }
        of_image = groups(results.of(FULL, training)[0].rows).to_numpy()
        for name, other in product(results.strategies, (FULL, control)):
            if other is None or name in (FULL, other):
                continue
            pairs = zip(stands[name], stands[other], strict=True)
            p[one.name, name, training, other] = max(mcnemar(a, b).p for a, b in pairs)
            if one.name == threat.name:
                words = (name, other, training, threat.name)
                differences[name, training, other] = paired(stands[name], stands[other], of_image, *words)
    adjusted = dict(zip(p, holm(list(p.values())), strict=True))
    return {
        key: Comparison(key[2], difference, p[threat.name, *key], float(adjusted[threat.name, *key]))
        for key, difference in differences.items()
    }


def _of_kind(results: Results, kind: str) -> list[str]:
    """The strategies with such a map; `none` is no candidate, whatever map it does not need."""
    return [name for name, pruned in results.strategies.items() if name != FULL and pruned.kind == kind]


def same_share(results: Results, a: str, b: str) -> bool:
    """Whether two strategies keep as many pixels, to a point."""
    return abs(results.strategies[a].kept - results.strategies[b].kept) <= 0.01


def _control(results: Results, focus: str | None) -> str | None:
    """The first control that keeps as many pixels as the focus, else the first."""
    found = [name for kind in ("shifted", "blobs", "blurred_random", "random") for name in _of_kind(results, kind)]
    same = [name for name in found if focus is not None and same_share(results, name, focus)]
    return next(iter(same or found), None)


def _focus(results: Results) -> str | None:
    """The deployable foreground, else the oracle's, else the first strategy that is no control."""
    foreground = _of_kind(results, "foreground")
    deployable = [name for name in foreground if not results.strategies[name].oracle]
    others = [name for name, pruned in results.strategies.items() if name != FULL and not pruned.control]
    return next(iter(deployable or foreground or others), None)
