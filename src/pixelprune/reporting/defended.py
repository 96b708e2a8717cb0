"""Every number of a defense, each with its interval and n, and in one sentence what is left of its promise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pixelprune.evaluation.bootstrap import mean_interval
from pixelprune.evaluation.intervals import Estimate, Rate
from pixelprune.evaluation.verdict import verdict
from pixelprune.reporting import words
from pixelprune.reporting.analysis import ALPHA, Analysis
from pixelprune.reporting.beside import Defended, refuse_other_threat
from pixelprune.reporting.collect import FULL, Results
from pixelprune.reporting.judged import Judged
from pixelprune.sampling import numpy_generator

if TYPE_CHECKING:
    import pandas

CLEAN, STATIC, TRANSFERRED = "clean", "static", "transferred"
"""Ways without a search on the defended network; `static` is judged on the undefended one."""
WORST = "worst of "
"""How the worst case over all ways that saw as many images is called."""


@dataclass(frozen=True)
class Way:
    """The undefended and the defended network on the same images. Shares in [0, 1].

    before: the undefended one, clean for the way `clean`, else under its own attack; after: the mean of fresh draws.
    majority, single: of the same draws, by majority, and one alone; None for a worst case.
    """

    name: str
    before: Estimate
    after: Estimate
    difference: Estimate
    p: float
    """McNemar's, after Holm over the ways of this defense."""
    majority: Estimate | None
    single: Estimate | None
    passes: int | None

    @property
    def n(self) -> int:
        return self.after.n

    @property
    def shown(self) -> bool:
        """Both the test, after the correction, and the interval say that there is a difference."""
        return self.p <= ALPHA and self.difference.excludes_zero


@dataclass(frozen=True)
class Corrupted:
    """Means over corruptions and severities, and of each corruption over severities."""

    before: Estimate
    after: Estimate
    difference: Estimate
    by: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Doubt:
    """AUROC of a posterior's doubt: images that a way broke, against the same images as they are."""

    way: str
    score: str
    area: Estimate


@dataclass(frozen=True)
class Entry:
    run: Defended
    of: str
    """The run that is defended: its training, and its seed where there are several."""
    judged: Judged
    comparable: bool
    """Whether the robust accuracy of the undefended network may be printed."""
    ways: Mapping[str, Way]
    """Without the worst cases."""
    worst: tuple[Way, ...]
    """One for each number of images that a way got which knows the defense, most first: the last has all ways."""
    undefended: Estimate
    """Under its own attack, all images of the comparison."""
    corrupted: Corrupted | None
    doubts: tuple[Doubt, ...]
    probable: Estimate | None
    """How probable a draw is that stands an attack on itself, mean over images; None where no weights are drawn."""

    @property
    def name(self) -> str:
        return f"{self.run.defense}, {self.of}"

    @property
    def transferred(self) -> Way:
        return self.ways[TRANSFERRED]

    @property
    def hardest(self) -> Way:
        """The worst case over all ways, on the images that all of them saw."""
        return self.worst[-1]

    def knowing(self, worst: Way) -> list[str]:
        """The ways that look at the defended network itself, and saw all images of this worst case."""
        known = (way for name, way in self.ways.items() if name not in (CLEAN, STATIC, TRANSFERRED))
        return [way.name for way in known if way.n >= worst.n]

    def shows(self, way: Way) -> bool:
        """Whether a difference is shown. Where the accuracy is only an upper bound, none shows a gain."""
        return way.shown and not (way.difference.value > 0 and self.judged.word != "reportable")

    @property
    def cost(self) -> Mapping[str, float]:
        """Multiply-adds of the undefended network; of a draw and of a verdict, as multiples of them."""
        found: Mapping[str, float] = self.run.card["cost"]
        return found

    @property
    def verdict_draws(self) -> int:
        return int(self.run.rows["verdict_draws"].max())

    @property
    def declares(self) -> str:
        """As "randomised, posterior"."""
        return ", ".join(key.replace("_", " ") for key, holds in self.run.card["declares"].items() if holds)

    @property
    def all_ways(self) -> list[Way]:
        return [*self.ways.values(), *self.worst]


def analyze(results: Results, analysis: Analysis) -> list[Entry]:
    """analysis: under the threat that defenses are attacked under, the first of params.yaml."""
    several = len(results.seeds) > 1
    return [_entry(run, analysis, several) for run in results.defended]


def judge(run: Defended) -> Judged:
    """By the rule of all runs. What a defense declares is held against the facts by its checks."""
    clean = run.rows[run.rows["way"] == CLEAN]
    found = verdict(run.checks, "static", oracle=False, adaptive_ran=True, predictions=clean["pred"].to_numpy())
    counted = [check["verdict"] for check in run.checks if check["verdict"] != "not applicable"]
    return Judged(found.word, found.reasons, counted.count("pass"), len(counted))


def sentence(entry: Entry) -> str:
    """What is left of a defense under the attacks that know it; or why that is not said."""
    name, judged = f"`{entry.run.defense}` ({entry.of})", entry.judged
    if not judged.printable:
        return f"{name}: no robust accuracy is given, as a fatal check failed: {'; '.join(judged.reasons)}."
    moved, worst = entry.transferred, entry.hardest
    parts = [
        f"{words.rate(moved.after)} of {moved.n:,} stand points made on the undefended network, which is not a "
        "robustness number",
        f"{words.rate(worst.after)} of {worst.n:,} stand all attacks, those that know it included",
    ]
    if entry.comparable:
        change = "gain" if worst.difference.value > 0 else "loss"
        said = f"a {change} is shown" if entry.shows(worst) else "no difference is shown"
        parts += [
            f"of the same {worst.n:,} the undefended network holds {words.rate(worst.before)} under its own attack",
            f"difference {worst.difference.brief}, {words.probability(worst.p)}: {said}",
        ]
    else:
        parts.append("the undefended network's own result is invalid, so nothing is compared")
    verdict = "Only an upper bound" if judged.word == "upper bound" else f"Verdict: {judged.word}"
    limits = f" {verdict}: {'; '.join(judged.reasons)}." if judged.reasons else ""
    return f"{name}: {'; '.join(parts)}.{limits}"


def table(entries: Sequence[Entry]) -> "pandas.DataFrame":
    """A row a number: shares in [0, 1], costs as multiples. Invalid: no accuracy under attack."""
    import pandas

    rows: list[dict[str, Any]] = []
    for entry in entries:
        run = entry.run
        common = {"defense": run.defense, "training": run.training, "seed": run.seed, "verdict": entry.judged.word}
        for way, quantity, estimate, p in _numbers(entry):
            value = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
            rows.append({**common, "way": way, "quantity": quantity, **value, "n": estimate.n, "p_holm": p})
        facts = {f"cost of a {key}": entry.cost[key] for key in ("draw", "verdict")} | dict(run.card.get("facts", {}))
        rows += [{**common, "way": "", "quantity": key, "value": value} for key, value in facts.items()]
    columns = ["defense", "training", "seed", "way", "quantity", "value", "low", "high", "n", "p_holm", "verdict"]
    frame = pandas.DataFrame(rows, columns=columns).astype({"n": "Int64"})
    numbers = ["value", "low", "high", "p_holm"]
    frame[numbers] = frame[numbers].astype(float).round(6)
    return frame


def summary(entries: Sequence[Entry]) -> dict[str, dict[str, dict[str, Any]]]:
    """{defense: {run: {"clean", "transferred", "robust", "n", "gain", "verdict"}}}, shares with four digits."""
    content: dict[str, dict[str, dict[str, Any]]] = {}
    for entry in entries:
        own: dict[str, Any] = {"clean": round(entry.ways[CLEAN].after.value, 4), "verdict": entry.judged.word}
        if entry.judged.printable:
            worst = entry.hardest
            own |= {"robust": round(worst.after.value, 4), "n": worst.n}
            own["transferred"] = round(entry.transferred.after.value, 4)
            if entry.comparable:
                own["gain"] = round(worst.difference.value, 4)
        content.setdefault(entry.run.defense, {})[entry.of] = own
    return content


def _numbers(entry: Entry) -> list[tuple[str, str, Estimate, float | None]]:
    """(way, quantity, number, p) of everything that may be printed."""
    found: list[tuple[str, str, Estimate, float | None]] = []
    if entry.comparable:
        found.append((STATIC, "undefended", entry.undefended, None))
    for way in entry.all_ways:
        if way.name != CLEAN and not entry.judged.printable:
            continue
        found.append((way.name, "defended", way.after, None))
        if way.name == CLEAN or entry.comparable:
            found += [(way.name, "undefended", way.before, None), (way.name, "difference", way.difference, way.p)]
        for quantity, estimate in (("majority", way.majority), ("single draw", way.single)):
            found += [(way.name, quantity, estimate, None)] if estimate is not None else []
    if entry.judged.printable:
        found += [(one.way, f"auroc of {one.score}", one.area, None) for one in entry.doubts]
        found += [("known draw", "probability", entry.probable, None)] if entry.probable is not None else []
    if entry.corrupted is not None:
        both = {"undefended": entry.corrupted.before, "defended": entry.corrupted.after}
        found += [("corruptions", key, one, None) for key, one in both.items()]
        found.append(("corruptions", "difference", entry.corrupted.difference, None))
    return found


def _entry(run: Defended, analysis: Analysis, several: bool) -> Entry:
    now, where = analysis.threat, f"results_defended/{run.place}"
    refuse_other_threat(run.card["threat"], now.norm, now.headline, where, "attack_defended")
    ways = {one["way"]: _way(one, run) for one in run.compared}
    static = run.rows[run.rows["way"] == STATIC]["right_mean"]
    entry = Entry(
        run=run,
        of=run.training + (f"/{run.seed}" if several else ""),
        judged=judge(run),
        comparable=analysis.entries[FULL, run.training].judged.printable,
        ways={name: way for name, way in ways.items() if not name.startswith(WORST)},
        worst=tuple(way for name, way in ways.items() if name.startswith(WORST)),
        undefended=_rate(int(static.sum()), len(static)),
        corrupted=_corrupted(run),
        doubts=_doubts(run),
        probable=_probable(run),
    )
    # Where the transferred points alone saw so many images, there is no worst case to speak of.
    return replace(entry, worst=tuple(one for one in entry.worst if entry.knowing(one)))


def _way(one: Mapping[str, Any], run: Defended) -> Way:
    own = run.rows[run.rows["way"] == one["way"]]
    majority = single = None
    if len(own):
        majority = _rate(int(own["right_majority"].sum()), len(own))
        single = mean_interval(
            own["right_share"].to_numpy(), own["group"].to_numpy(), _generator(run, one["way"]), resamples=2000
        )
    return Way(
        name=one["way"],
        before=_estimate(one, "before"),
        after=_estimate(one, "after"),
        difference=_estimate(one, "difference"),
        p=one["p_holm"],
        majority=majority,
        single=single,
        passes=one["forward"] + one["backward"] if "forward" in one else None,
    )


def _estimate(one: Mapping[str, Any], key: str) -> Estimate:
    low, high = one[f"{key}_interval"]
    return Estimate(one[key], low, high, one["n"])


def _corrupted(run: Defended) -> Corrupted | None:
    table = run.corruptions
    if table.empty:
        return None
    right = table.assign(
        before=table["undefended_pred"] == table["label"], after=table["pred"] == table["label"]
    )  # fmt: skip
    of_image = right.groupby("image")[["before", "after"]].mean()
    of_image["difference"] = of_image["after"] - of_image["before"]
    groups = right.groupby("image")["group"].first().to_numpy()
    before, after, difference = (
        mean_interval(of_image[key].to_numpy(), groups, _generator(run, "corrupted", key), resamples=2000)
        for key in ("before", "after", "difference")
    )
    by = right.groupby("corruption", sort=False)[["before", "after"]].mean()
    return Corrupted(before, after, difference, by={str(name): (float(a), float(b)) for name, a, b in by.itertuples()})


def _doubts(run: Defended) -> tuple[Doubt, ...]:
    if run.detection is None:
        return ()
    columns = (run.detection[key].tolist() for key in ("way", "score", "auroc", "low", "high", "broken"))
    return tuple(Doubt(way, score, Estimate(*area)) for way, score, *area in zip(*columns, strict=True))


def _probable(run: Defended) -> Estimate | None:
    if run.probability is None:
        return None
    groups = run.probability["image"].map(run.rows.drop_duplicates("image").set_index("image")["group"]).to_numpy()
    values = run.probability["probability"].to_numpy()
    return mean_interval(values, groups, _generator(run, "probability"), resamples=2000)


def _rate(successes: int, n: int) -> Estimate:
    rate = Rate(successes, n)
    return Estimate(rate.share, *rate.interval, n)


def _generator(run: Defended, *asked: str) -> Any:
    return numpy_generator("report", "defended", run.place, *asked)
