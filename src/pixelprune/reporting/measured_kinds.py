"""What the measures that come with pixelprune show beside their numbers: what these mean, comparisons, fine tables."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from math import inf
from typing import Any

import pandas

from pixelprune.corruptions.extras import EXTRAS
from pixelprune.evaluation.intervals import percent
from pixelprune.evaluation.mce import mce
from pixelprune.reporting.analysis import Analysis, own_access, robust, share
from pixelprune.reporting.beside import Finding
from pixelprune.reporting.collect import FULL, Results
from pixelprune.reporting.figure_measured import radii
from pixelprune.reporting.measured import Cell, Fold, Grid, Shown, Value, number, plain, shown

ABOUT = {
    "psi": "How little a prediction can be moved within the ball: one over the largest divergence (KL) that a search "
    "found, after the temperature is calibrated on these images. Larger is steadier, also where the network is "
    "steadily wrong: read it beside clean accuracy. Where the search misses the maximum, psi says too much.",
    "probabilistic": "How likely a random point of the ball keeps the class, which says nothing of what an attacker "
    "finds; and robust accuracy under one attack, from as few images as the precision asks for, whose "
    "interval is gamma to each side, with confidence 1 − delta.",
    "sensitivity": "Four perturbations side by side: adversarial, universal, random, low-pass; right: still classified "
    "right, changed: the class is another one. To ignore what a low-pass filter takes away is neither good nor bad by "
    "itself: the task decides.",
    "low_pass": "Accuracy on low-passed images. LP-AUC: mean accuracy over the radii; ρ50: the smallest radius with "
    "half of what clean accuracy is above chance. To do without fine detail is neither good nor bad by itself: the "
    "task decides.",
    "fourier": "Error where a wave of one frequency is added to the images. A low error is not robustness: an attacker "
    "does not keep to waves.",
    "corruptions": "Accuracy under corruptions made as in CIFAR-10-C. mCE: the error of each corruption as a share of "
    "that of `none` of the same training and seed, their mean without the four extra ones; below 100 % are fewer "
    "errors than that network makes.",
    "map_quality": "Whether maps find the pixels that the network uses. Controls explain nothing; a map "
    "that does not beat them says no more than they do. τ: how alike two ways to score rank the maps, from -1 to 1.",
    "surface": "The right logit less the best other one, on a plane through single images: an adversarial direction to "
    "the right, a random one up. A few images are an illustration and no measurement.",
}
PSI, COMPARED, WORST = "masked.median_psi", "masked.robust_pgd10", "worst_case"
FEWEST = 3
"""Runs that a rank correlation needs to be shown."""


def psi(results: Results, analysis: Analysis, found: Sequence[Finding]) -> Shown:
    """The run's own worst case beside psi, and whether psi ranks the runs as it does."""
    values: dict[str, dict[str, Value]] = {}
    at_the_bound = []
    for one in found:
        own = values.setdefault(one.place, {})
        if analysis.entries[one.strategy, one.training].judged.printable:
            own[WORST] = _worst_case(results, analysis, one)
        for where in ("masked", "free"):
            if one.summary.get(where) and one.summary[where]["median_psi"] is None:
                own[f"{where}.median_psi"] = Value(inf, n=one.summary["n"])
        if not one.summary["temperature"]["inside"]:
            at_the_bound.append(one.place)
    ranked = pandas.DataFrame([
        {
            "psi": own[PSI].value if PSI in own else one.summary["masked"]["median_psi"],
            "pgd": one.summary["masked"]["robust_pgd10"]["share"],
            "worst": own[WORST].value,
        }
        for one in found if WORST in (own := values[one.place])
    ]).astype(float)  # fmt: skip
    sentences = []
    if len(ranked) >= FEWEST:
        ranks = {key: float(ranked[key].rank().corr(ranked["worst"].rank())) for key in ("psi", "pgd")}
        values[""] = {
            f"spearman of {path} with worst case": Value(number(ranks[key]), n=len(ranked))
            for key, path in (("psi", PSI), ("pgd", COMPARED))
        }
        said = {key: f"{rho:+.2f}" if rho == rho else "not defined (all equal)" for key, rho in ranks.items()}
        sentences.append(
            f"Over n = {len(ranked)} runs, the rank correlation (Spearman) with worst-case robust accuracy is "
            f"{said['psi']} for median psi and {said['pgd']} for PGD-10. The runs share their test images, and some a "
            "training: no random sample of networks."
        )
    if at_the_bound:
        sentences.append(
            f"The temperature of {', '.join(at_the_bound)} lies at its bound: no temperature fits these logits to the "
            "labels, and the size of their psi is that of the bound."
        )
    folds = [_stability(one) for one in found if (one.folder / "stability.parquet").exists()]
    return Shown(tuple(sentences), values, folds=(Fold("Other settings", tuple(folds)),) if folds else ())


def low_pass(results: Results, analysis: Analysis, found: Sequence[Finding]) -> Shown:
    return Shown(figures=(radii(found),))


def corruptions(results: Results, analysis: Analysis, found: Sequence[Finding]) -> Shown:
    """mCE against `none`; 19 x 5 tables in a fold for each training."""
    of = {(one.strategy, one.training, one.seed): one for one in found}
    values: dict[str, dict[str, Value]] = {}
    folds: dict[str, list[Grid]] = {}
    for one in found:
        against = mce(one.table("rows"), of[FULL, one.training, one.seed].table("rows"), held_out=EXTRAS)
        own = values.setdefault(one.place, {})
        own["mce"] = Value(against["mce"], n=against["n"], share=True)
        own |= {f"ce.{name}": Value(error, n=against["n"], share=True) for name, error in against["by"].items()}
        folds.setdefault(one.training, []).append(_severities(one, against["by"]))
    made = [Fold(f"Every corruption and severity, {training}", tuple(grids)) for training, grids in folds.items()]
    return Shown(values=values, folds=tuple(made))


def map_quality(results: Results, analysis: Analysis, found: Sequence[Finding]) -> Shown:
    """How each baseline ranks the maps, and how far the baselines agree."""
    said: dict[str, list[str]] = {}
    for one in found:
        said.setdefault(str(one.summary["baselines"]), []).append(f"`{one.place}`")
    sentences = [f"{', '.join(places)}: {text}." for text, places in said.items()]
    folds = [Fold(f"Maps of {one.place}", (_ranking(one), _agreement(one))) for one in found]
    return Shown(tuple(sentences), folds=tuple(folds))


SHOWN: Mapping[str, Callable[[Results, Analysis, Sequence[Finding]], Shown]] = {
    "psi": psi, "low_pass": low_pass, "corruptions": corruptions, "map_quality": map_quality,
}  # fmt: skip


def _worst_case(results: Results, analysis: Analysis, one: Finding) -> Value:
    run, threat = results.runs[one.strategy, one.training, one.seed], analysis.threat
    stands = robust([run], threat.name, threat.headline, own_access(one.strategy))
    found = share(stands, stands[0], "worst case", one.place)
    return Value(found.value, found.low, found.high, found.n, share=True)


def _stability(one: Finding) -> Grid:
    table = one.table("stability")
    names = {"median_psi": "median psi", "mean_kl": "mean KL", "rank_correlation": "rank correlation", "robust": "PGD"}
    rows = [
        (str(row["setting"]), tuple(shown(Value(number(row[key]), share=key == "robust")) for key in names))
        for _, row in table.iterrows()
    ]
    count = f"n = {int(table['n'].iloc[0]):,}"
    caption = f"{one.place}, {count}; rank correlation: Spearman's, of the images' KL with that of the first setting"
    heads = tuple((text + (", %" if key == "robust" else ""), "") for key, text in names.items())
    return Grid(caption, heads, tuple(rows), first="setting")


def _severities(one: Finding, errors: Mapping[str, float | None]) -> Grid:
    by, levels = (
        one.summary["severities"],
        sorted({level for own in one.summary["severities"].values() for level in own}),
    )
    order = dict.fromkeys(one.table("rows")["corruption"])
    rows = []
    for name in (name for name in order if name in by):
        cells = [_tinted(by[name].get(level)) for level in levels]
        error = errors.get(name)
        rows.append((
            name.replace("_", " "),
            (*cells, _tinted(one.summary["by"][name]), Cell("–" if error is None else percent(error))),
        ))  # fmt: skip
    heads = [(f"severity {level}", "") for level in levels] + [("mean", ""), ("CE, %", "")]
    caption = f"{one.place}: accuracy in percent, n = {one.summary['clean']['n']:,}; the darker, the more accurate"
    return Grid(caption, tuple(heads), tuple(rows), first="corruption", heat=True)


def _tinted(value: Mapping[str, Any] | None) -> Cell:
    return Cell("–") if value is None else Cell(f"{100 * value['share']:.0f}", tint=int(10 * value["share"]))


def _ranking(one: Finding) -> Grid:
    """Deletion and insertion AUC with the place that each gives the map; low deletion and high insertion are good."""
    scores, baselines = one.summary["auc"], list(dict.fromkeys(b for own in one.summary["auc"].values() for b in own))
    columns, cells = [], {name: list[Cell]() for name in scores}
    for score, baseline in product(("deletion", "insertion"), baselines):
        means = pandas.Series({name: own[baseline][score]["mean"] for name, own in scores.items()})
        places = means.rank(ascending=score == "deletion", method="min").astype(int)
        columns.append((f"{score}, {baseline}", ""))
        for name, own in scores.items():
            value = own[baseline][score]
            interval = f"[{plain(value['low'])}, {plain(value['high'])}]"
            cells[name].append(Cell(f"{value['mean']:.3f}", f"{interval}, place {places[name]}"))
    controls = set(one.summary["controls"])
    rows = [(f"{name} (control)" if name in controls else name, tuple(own)) for name, own in cells.items()]
    caption = (
        f"{one.place}, n = {one.summary['images']:,}: area under the curve; deletion: low is good; insertion: high"
    )
    return Grid(caption, tuple(columns), tuple(rows), first="map")


def _agreement(one: Finding) -> Grid:
    taus = one.summary["tau"]
    pairs = list(dict.fromkeys(pair for own in taus.values() for pair in own))
    rows = [(pair, tuple(Cell(f"{taus[score][pair]:+.2f}") for score in taus)) for pair in pairs]
    return Grid(f"{one.place}: Kendall's τ", tuple((score, "") for score in taus), tuple(rows), first="baselines")
