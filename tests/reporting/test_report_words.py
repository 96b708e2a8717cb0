"""The sentences follow the evidence, and never run ahead of it."""

import re
from dataclasses import replace

import pytest

from pixelprune.evaluation.decomposition import Decomposition
from pixelprune.evaluation.intervals import Estimate
from pixelprune.evaluation.moving import Moving
from pixelprune.reporting import words
from pixelprune.reporting.analysis import Analysis, Comparison, _believed, _control, analyze
from pixelprune.reporting.collect import Results
from pixelprune.reporting.headline import Answer, answer
from pixelprune.reporting.judged import Judged
from reporting import synthetic
from reporting.conftest import Study

Ends = tuple[float, float, float]
"""A value and its interval."""
FINE, BOUND = Judged("reportable", (), 8, 8), Judged("upper bound", ("E6 steps: fail",), 7, 8)


@pytest.fixture
def known(study: Study) -> tuple[Results, Analysis]:
    results = study(count=48, attacked=40)
    return results, analyze(results, results.threats["linf"])


def told(results: Results, analysis: Analysis, **changes: object) -> str:
    """All sentences, with the foreground's entry changed."""
    head = analysis.entries["foreground", "adversarial"]
    entries = dict(analysis.entries) | {("foreground", "adversarial"): replace(head, **changes)}  # type: ignore[arg-type]
    return _all(answer(results, replace(analysis, entries=entries)))


def _all(given: Answer) -> str:
    return " ".join([*given.lead, *given.details])


def test_a_difference_is_claimed_only_with_test_and_interval(known: tuple[Results, Analysis]) -> None:
    gain = Estimate(0.1, 0.02, 0.18, 40)
    claimed = told(*known, against_none=Comparison("none", gain, 0.001, 0.004))
    assert "The difference is +10.0 pt [+2.0, +18.0], Holm-adjusted p = 0.004" in claimed
    for weak in (Comparison("none", gain, 0.03, 0.12), Comparison("none", Estimate(0.1, -0.01, 0.2, 40), 0.001, 0.004)):
        assert "+10.0 pt" in (text := told(*known, against_none=weak))
        assert "is not shown to be other than zero" in text


def test_what_an_upper_bound_is_ahead_by_shows_nothing(known: tuple[Results, Analysis]) -> None:
    gain = Comparison("none", Estimate(0.1, 0.02, 0.18, 40), 0.001, 0.004, bounded=True)
    text = told(*known, against_none=gain)
    assert "+10.0 pt [+2.0, +18.0], is that of an upper bound and shows nothing" in text
    assert "is shown for `foreground`" not in text


@pytest.mark.parametrize(("value", "head", "full"), [(0.1, True, False), (-0.1, False, True)])
def test_the_one_that_is_ahead_is_the_one_that_has_to_be_more_than_a_bound(
    known: tuple[Results, Analysis], value: float, head: bool, full: bool
) -> None:
    names = (("foreground", "adversarial"), ("none", "adversarial"))
    compared = Comparison("none", Estimate(value, value - 0.05, value + 0.05, 40), 0.001, 0.004)
    for name, bounded in zip(names, (head, full), strict=True):
        entries = dict(known[1].entries) | {name: replace(known[1].entries[name], judged=BOUND)}
        (entries[names[0]], entries[names[1]]) = (
            replace(entries[one], judged=entries[one].judged if one == name else FINE) for one in names
        )
        found = _believed(replace(entries[names[0]], against_none=compared), entries).against_none
        assert found is not None and found.bounded is bounded and found.shown is not bounded


def test_a_full_network_of_which_only_a_bound_is_known_is_said_to_be_one(known: tuple[Results, Analysis]) -> None:
    results, analysis = known
    full = replace(analysis.full, judged=BOUND)
    given = answer(results, replace(analysis, entries=dict(analysis.entries) | {("none", "adversarial"): full}))
    assert f"every pixel stands on at most {words.rate(full.robust)}" in given.lead[0]
    assert "`none/adversarial`: Verdict: upper bound. E6 steps: fail." in _all(given)


@pytest.mark.parametrize(
    ("others", "said"),
    [((), "The study has no strategy beside `none`: "), (("random",), "The study has only controls beside `none`: ")],
)
def test_without_a_strategy_to_speak_of(study: Study, others: tuple[str, ...], said: str) -> None:
    found = study(strategies={name: synthetic.STRATEGIES[name] for name in ("none", "random")}, count=48, attacked=40)
    results = replace(found, strategies={name: found.strategies[name] for name in ("none", *others)})
    analysis = analyze(results, results.threats["linf"])
    assert answer(results, analysis).lead[0].startswith(said)
    invalid = replace(analysis.full, judged=Judged("invalid", ("E4 a larger eps never saves an image: fail",), 7, 8))
    entries = dict(analysis.entries) | {("none", analysis.training): invalid}
    given = answer(results, replace(analysis, entries=entries))
    assert given.failed and "%" not in _all(given)


def test_a_control_of_another_share_does_not_tell_which_from_how_many(known: tuple[Results, Analysis]) -> None:
    results, analysis = known
    better = Comparison("random", Estimate(0.2, 0.1, 0.3, 40), 1e-6, 1e-5)
    kept = results.strategies["foreground"].kept
    for share, said in ((kept, "not only how many"), (kept + 0.2, "which ones and how many are not told apart")):
        other = replace(results.strategies["shifted"], card={"shares": {"test": share}, "map_name": "random"})
        changed = replace(results, strategies=dict(results.strategies) | {"random": other})
        assert said in told(changed, analysis, against_control=better)
        without = {key: pruned for key, pruned in changed.strategies.items() if key != "shifted"}
        assert _control(replace(results, strategies=without), "foreground") == "random"
        assert _control(changed, "foreground") == "shifted"


def test_the_control_is_one_that_keeps_as_many(known: tuple[Results, Analysis]) -> None:
    results, _ = known
    card = {"shares": {"test": results.strategies["foreground"].kept}, "map_name": "random"}
    shifted = replace(results.strategies["shifted"], card={"shares": {"test": 0.9}, "map_name": "shifted"})
    random = replace(results.strategies["shifted"], card=card)
    changed = replace(results, strategies=dict(results.strategies) | {"shifted": shifted, "random": random})
    assert _control(changed, "foreground") == "random"


def test_the_control_decides_whether_the_place_matters(known: tuple[Results, Analysis]) -> None:
    nothing = Comparison("shifted", Estimate(0.01, -0.05, 0.07, 40), 0.8, 1.0)
    assert "so it is not shown that it matters which pixels are kept" in told(*known, against_control=nothing)
    worse = Comparison("shifted", Estimate(-0.2, -0.3, -0.1, 40), 1e-6, 1e-5)
    assert "so the control is the more robust one" in told(*known, against_control=worse)
    better = Comparison("shifted", Estimate(0.2, 0.1, 0.3, 40), 1e-6, 1e-5)
    assert "so it matters which pixels are kept, not only how many" in told(*known, against_control=better)
    assert "has no valid result to compare with" in told(*known, against_control=None)
    alone = replace(known[1], control=None)
    assert "There is no control (`shifted`" in told(known[0], alone, against_control=None)


@pytest.mark.parametrize(
    ("interval", "both", "said"),
    [
        ((0.1, 0.05, 0.15), (0.2, 0.1, 0.3), "is harder to fool"),
        ((0.1, 0.05, 0.15), (0.2, -0.1, 0.3), "not shown"),
        ((0.1, 0.05, 0.15), None, "not shown"),
        ((0.01, -0.05, 0.07), (0.2, 0.1, 0.3), "not shown"),
        ((-0.1, -0.2, -0.05), (-0.2, -0.3, -0.1), "easier to fool"),
        ((-0.1, -0.2, -0.05), (0.2, 0.1, 0.3), "not shown"),
    ],
)
def test_hardening(known: tuple[Results, Analysis], interval: Ends, both: Ends | None, said: str) -> None:
    given = told(*known, decomposition=hardened(known[1], interval, both))
    (sentence,) = (part for part in given.split(". ") if "hardening" in part and "to fool" in part and "[" in part)
    assert said in sentence
    assert ("both networks classify right" in sentence) == (both is not None)


def hardened(analysis: Analysis, hardening: Ends, both: Ends | None) -> Decomposition:
    found = analysis.entries["foreground", "adversarial"].decomposition
    assert found is not None
    both_right = None if both is None else Estimate(*both, 20)
    return replace(found, terms=found.terms | {"hardening": Estimate(*hardening, 40)}, both_right=both_right)


def test_an_outline_that_tells_the_class_takes_back_the_claim(known: tuple[Results, Analysis]) -> None:
    results, analysis = known
    decomposition = hardened(analysis, (0.1, 0.05, 0.15), (0.2, 0.1, 0.3))
    changed = {"decomposition": decomposition, "leak": Estimate(0.0, 0.0, 0.07, 40)}
    assert "class information in the outline can make part or all of it" in told(results, analysis, **changed)
    mute = replace(results.strategies["foreground"], silhouette={"right": 6, "images": 48, "guess": 6})
    silent = replace(results, strategies=dict(results.strategies) | {"foreground": mute})
    assert "the outline is not shown to give the class away" in told(silent, analysis, **changed)
    unknown = replace(results, strategies=dict(results.strategies) | {"foreground": replace(mute, silhouette=None)})
    assert "class information in the outline can make part or all of it" in told(unknown, analysis, **changed)


@pytest.mark.parametrize(
    "mask, left, said",
    [
        ((-0.2, -0.3, -0.1), (0.05, -0.05, 0.15), "of the gain nothing is shown to be left: +5.0 pt"),
        ((-0.1, -0.2, 0.0), (0.2, 0.1, 0.3), "of the gain 20.0 pt [10.0, 30.0] is left (n = 40)."),
        ((-0.4, -0.5, -0.3), (-0.2, -0.3, -0.1), "the full model is then the more robust one, by 20.0 pt"),
        ((0.1, 0.05, 0.15), (0.2, 0.1, 0.3), "; that its mask moves hinders the attacker."),
    ],
)
def test_what_is_left_when_the_mask_answers(known: tuple[Results, Analysis], mask: Ends, left: Ends, said: str) -> None:
    robust = Estimate(0.5, 0.34, 0.66, 40)
    moving = Moving(robust, Estimate(*mask, 40), Estimate(*left, 40), fixed=False)
    given = told(*known, moving=moving)
    assert "it stands on 50.0 % [34.0, 66.0]" in given
    assert said in given
    assert ("hinders" in given) == (mask[1] > 0)


def test_nothing_is_said_of_a_mask_that_cannot_move_or_was_not_tried(known: tuple[Results, Analysis]) -> None:
    one = Estimate(0.5, 0.34, 0.66, 40)
    for moving in (None, Moving(one, one, one, fixed=True)):
        assert "answers" not in told(*known, moving=moving)


def test_verdicts(known: tuple[Results, Analysis]) -> None:
    bound = told(*known, judged=Judged("upper bound", ("the mask is dynamic and no attack tried to move it",), 8, 8))
    assert "at most" in bound
    assert "True robustness may be lower" in bound
    fine = told(*known, judged=Judged("reportable", (), 8, 8))
    assert "at most" not in fine
    assert "every check that applies has passed" in fine
    for word in ("invalid", "constant"):
        given = told(*known, judged=Judged(word, ("E4 a larger eps never saves an image: fail",), 7, 8))
        assert given.startswith("No answer")
        assert "E4" in given
        assert "%" not in given
    many = tuple(f"E{k} something: not run" for k in range(1, 8))
    assert "and 3 more" in told(*known, judged=Judged("upper bound", many, 1, 8))


def test_one_seed_speaks_of_two_networks_and_several_of_seeds(study: Study) -> None:
    one = study(count=48, attacked=40)
    assert "These two networks" in _all(answer(one, analyze(one, one.threats["linf"])))
    three = study(seeds=(0, 1, 2), count=48, attacked=40)
    given = _all(answer(three, analyze(three, three.threats["linf"])))
    assert "These two networks" not in given
    assert "n = 40 × 3 seeds" in given


def test_no_number_without_interval_threat_and_n(known: tuple[Results, Analysis]) -> None:
    given = answer(*known)
    lead = given.lead[0]
    assert "L∞ 8/255, worst of noise, fgsm and pgd" in lead
    assert "n = 40" in lead
    for share in re.finditer(r"(\d+\.\d) %(?! \[)", lead):
        pytest.fail(f"{share.group()} stands without an interval in: {lead}")


def test_terms_of_the_lead_add_up(known: tuple[Results, Analysis]) -> None:
    head = known[1].head
    assert head is not None
    assert head.decomposition is not None
    terms = {name: term.value for name, term in head.decomposition.terms.items()}
    assert terms["total"] == pytest.approx(head.robust.value - known[1].full.robust.value)
    assert terms["total"] == pytest.approx(sum(terms[key] for key in ("budget", "location", "clean", "hardening")))


def test_what_pruning_costs_has_no_sign(known: tuple[Results, Analysis]) -> None:
    assert "pruning costs 5.1 pt [3.0, 7.2]." in told(*known, clean_difference=Estimate(-0.051, -0.072, -0.03, 48))
    assert "pruning adds 5.1 pt [3.0, 7.2]." in told(*known, clean_difference=Estimate(0.051, 0.03, 0.072, 48))


def test_groups_are_named(known: tuple[Results, Analysis]) -> None:
    results, analysis = known
    tracks = replace(results, data=dict(results.data) | {"groups": "track"})
    assert "Images of one track are resampled together" in _all(answer(tracks, analysis))
    assert "resampled together" not in _all(answer(results, analysis))


@pytest.mark.parametrize(
    ("eps", "text"), [(8 / 255, "8/255"), (0.5 / 255, "0.5/255"), (0.5, "0.5"), (1.0, "1"), (128 / 255, "128/255")]
)
def test_radius(eps: float, text: str) -> None:
    assert words.radius(eps) == text


def test_lists() -> None:
    assert [words.listed("abc"[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]


@pytest.mark.parametrize(("left", "said"), [((0.1, 0.02, 0.2), "foreground"), ((-0.25, -0.4, -0.1), "none")])
def test_a_gain_with_a_frozen_mask_is_not_called_one_when_the_mask_answers(
    known: tuple[Results, Analysis], left: Ends, said: str
) -> None:
    moved = Moving(Estimate(0.3, 0.2, 0.4, 40), Estimate(-0.2, -0.3, -0.1, 40), Estimate(*left, 40), fixed=False)
    others = {key: replace(entry, against_none=None) for key, entry in known[1].entries.items()}
    gain = Comparison("none", Estimate(0.1, 0.02, 0.18, 40), 0.001, 0.004)
    text = told(known[0], replace(known[1], entries=others), against_none=gain, moving=moved)
    assert "with the mask frozen, a gain over `none` is shown for `foreground`" in text
    assert re.search(rf"with the mask answering the attacker, for `?{said}`?;", text)
