"""The question, and the answer in words: generated from the numbers, and no stronger than they are."""

from dataclasses import dataclass

from pixelprune.evaluation.intervals import Estimate, percent
from pixelprune.reporting import words
from pixelprune.reporting.analysis import Analysis, Comparison, Entry, same_share
from pixelprune.reporting.collect import FULL, Results


@dataclass(frozen=True)
class Answer:
    question: str
    lead: tuple[str, ...]
    """Up to three sentences for the first screen."""
    details: tuple[str, ...]
    """What a careful reader needs beside them."""
    failed: bool
    """No answer: a fatal check failed, and the lead says which."""


def answer(results: Results, analysis: Analysis) -> Answer:
    question = f"Which pixels should {words.subject(results.data)} see?"
    head, full = analysis.head, analysis.full
    for entry in (head, full):
        if entry is not None and entry.judged.word in ("invalid", "constant"):
            lead = f"No answer: the result of `{entry.name}` is {entry.judged.word}. {_reasons(entry, 2)}."
            return Answer(question, (lead, "See Checks for all that was found."), (), failed=True)
    if head is None:
        others = "no strategy" if len(results.strategies) == 1 else "only controls"
        rate = f"{_at_most(full)}{words.rate_n(full.robust)} robust"
        lead = f"The study has {others} beside `{FULL}`: {rate} ({_threat(results, analysis)})."
        return Answer(question, (lead,), (_verdict(full),), failed=False)
    return Answer(
        question,
        tuple(filter(None, (_compared(results, analysis, head), _decomposed(head), _moved(head)))),
        tuple(
            sentence
            for sentence in (
                _verdict(head),
                "" if full.judged.word == "reportable" else f"`{full.name}`: {_verdict(full)}",
                _control(results, analysis, head),
                _outline(results, head),
                _conclusion(results, analysis, head),
                _clean(head),
                _others(analysis),
                _scope(results, analysis),
            )
            if sentence
        ),
        failed=False,
    )


def _threat(results: Results, analysis: Analysis) -> str:
    return f"{words.ball(analysis.threat)}, worst of {words.attack_list(results)}"


def _compared(results: Results, analysis: Analysis, head: Entry) -> str:
    pruned, full, compared = results.strategies[head.strategy], analysis.full, head.against_none
    assert compared is not None
    return (
        f"Under {head.training} training, the network that sees {words.sees(pruned)} stands on {_at_most(head)}"
        f"{words.rate(head.robust)} of the attacked images; the network that sees, and is attacked on, every pixel "
        f"stands on {_at_most(full)}{words.rate(full.robust)}. {_difference(compared)} ({words.sample(head.robust)}; "
        f"{_threat(results, analysis)})."
    )


def _at_most(entry: Entry) -> str:
    return "at most " if entry.judged.word == "upper bound" else ""


def _difference(compared: Comparison, subject: str = "The difference") -> str:
    p = f"Holm-adjusted {words.probability(compared.adjusted)}"
    if compared.shown:
        return f"{subject} is {compared.difference.brief}, {p}"
    if compared.differs:
        return f"{subject}, {compared.difference.brief}, is that of an upper bound and shows nothing, {p}"
    return f"{subject}, {compared.difference.brief}, is not shown to be other than zero, {p}"


def _decomposed(head: Entry) -> str:
    assert head.decomposition is not None
    terms = head.decomposition.terms
    return (
        f"Of the {_short(terms['total'])}, fewer pixels to write on (budget) make {terms['budget'].brief}, where they "
        f"lie (location) {terms['location'].brief}, and what this network does with them (feature) "
        f"{terms['feature'].brief}: {_short(terms['clean'])} clean accuracy and {terms['hardening'].brief} hardening."
    )


def _moved(head: Entry) -> str:
    """What is left of the gain when the mask answers the attacker."""
    moving = head.moving
    if moving is None or moving.fixed:
        return ""
    if not moving.left.excludes_zero:
        left = f"of the gain nothing is shown to be left: {moving.left.brief}"
    elif moving.left.value > 0:
        left = f"of the gain {_at_most(head)}{words.size(moving.left)} is left"
    else:
        left = f"the full model is then the more robust one, by {words.size(moving.left)}"
    hinders = "; that its mask moves hinders the attacker" if moving.mask.low > 0 else ""
    return (
        "When the attacker writes everywhere and the mask answers (adaptive), it stands on "
        f"{words.rate(moving.robust)}, and {left} ({words.sample(moving.robust)}){hinders}."
    )


def _short(estimate: Estimate) -> str:
    return estimate.brief.partition(" [")[0]


def _verdict(head: Entry) -> str:
    if head.judged.word == "reportable":
        return "Verdict: reportable; every check that applies has passed."
    return f"Verdict: {head.judged.word}. {_reasons(head, 4)}. True robustness may be lower."


def _reasons(entry: Entry, most: int) -> str:
    """The first reasons, which are the gravest."""
    reasons = entry.judged.reasons
    more = f"; and {len(reasons) - most} more" if len(reasons) > most else ""
    text = "; ".join(reasons[:most]) + more
    return text[:1].upper() + text[1:]


def _control(results: Results, analysis: Analysis, head: Entry) -> str:
    compared = head.against_control
    if compared is None:
        if analysis.control is not None and head.strategy != analysis.control:
            return f"The control `{analysis.control}` has no valid result to compare with."
        return "There is no control (`shifted`, `blobs`, `blurred_random` or `random`) in this study to compare with."
    subject = f"Against the control `{compared.other}`, trained and attacked in the same way, the difference"
    if not compared.shown:
        end = "so it is not shown that it matters which pixels are kept"
    elif compared.difference.value < 0:
        end = "so the control is the more robust one"
    elif same_share(results, head.strategy, compared.other):
        end = "so it matters which pixels are kept, not only how many"
    else:
        kept = words.kept_pixels(results.strategies[compared.other])
        end = f"but the control keeps {kept}: which ones and how many are not told apart"
    return f"{_difference(compared, subject)}; {end}."


def _outline(results: Results, head: Entry) -> str:
    parts = []
    pruned = results.strategies[head.strategy]
    if pruned.silhouette_rate is not None:
        parts.append(
            f"a classifier that sees nothing but the mask's shape gets {words.rate_n(pruned.silhouette_rate)} right "
            f"(most frequent class: {percent(pruned.guess)} %)"
            + (
                ", so the outline gives part of the class away"
                if pruned.outline_tells
                else ", which is not shown to be more"
            )
        )
    if head.leak is not None:
        parts.append(
            f"with every kept pixel free to take any value, {words.rate_n(head.leak)} of the images still stand, which "
            "this network can only owe to the outline (leak∞)"
            if head.leak.value > 0
            else f"with every kept pixel free to take any value, {words.rate_n(head.leak)} stand (leak∞)"
        )
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else "How much the mask's outline gives away was not measured."


def _conclusion(results: Results, analysis: Analysis, head: Entry) -> str:
    decomposition = head.decomposition
    assert decomposition is not None
    hardening, both = decomposition.terms["hardening"], decomposition.both_right
    beside = "" if both is None else f"; on the images that both networks classify right, {both.brief}, n = {both.n:,}"
    found = f"hardening {hardening}{beside}"
    if decomposition.shown_easier:
        return f"On the same pixels, beyond the clean difference, the pruned network is easier to fool: {found}."
    if not decomposition.shown_harder:
        return f"That the network has learned features that are harder to fool is not shown: {found}."
    tells = results.strategies[head.strategy].outline_tells
    leaks = tells is None or tells or (head.leak is not None and head.leak.low > 0)
    better = f"On the same pixels, beyond the clean difference, the pruned network is harder to fool: {found}"
    if leaks:
        return f"{better}; class information in the outline can make part or all of it."
    return f"{better}; the outline is not shown to give the class away."


def _clean(head: Entry) -> str:
    difference = head.clean_difference
    if not difference.excludes_zero:
        return f"Clean accuracy is {words.rate_n(head.clean)}; a cost of pruning is not shown: {difference.brief}."
    verb = "costs" if difference.value < 0 else "adds"
    return f"Clean accuracy is {words.rate_n(head.clean)}; pruning {verb} {words.size(difference)}."


def _others(analysis: Analysis) -> str:
    of_training = [e for e in analysis.entries.values() if e.training == analysis.training and e.judged.printable]
    ahead = [e for e in of_training if e.against_none and e.against_none.shown and _gain(e) > 0]
    better, left = ([f"`{e.strategy}`" for e in some] for some in (ahead, [e for e in ahead if _is_left(e)]))
    hard = [f"`{e.strategy}`" for e in of_training if e.decomposition and e.decomposition.shown_harder]
    gains = f"no gain over `{FULL}` is shown"
    if better:
        gains = (
            f"with the mask frozen, a gain over `{FULL}` is shown for {words.listed(better)}; with the mask answering "
            f"the attacker, for {words.listed(left) if left else 'none'}"
        )
    positive = (
        f"harder to fool on the same pixels (intervals not corrected for their number): {words.listed(hard)}"
        if hard
        else "none is shown to be harder to fool on the same pixels"
    )
    family = f"{analysis.training} training, {analysis.family} tests corrected together"
    return f"Among all strategies, {family}: {gains}; {positive}."


def _is_left(entry: Entry) -> bool:
    return entry.moving is not None and entry.moving.left.low > 0


def _gain(entry: Entry) -> float:
    return entry.against_none.difference.value if entry.against_none else 0.0


def _scope(results: Results, analysis: Analysis) -> str:
    images = {"photo": "Images of one photo are", "track": "Images of one track are"}.get(
        str(results.data.get("groups"))
    )
    # The rates of several seeds are bootstrapped, as the differences are.
    alone = "rates and p values take" if len(results.seeds) == 1 else "p values take"
    grouped = (
        f" {images} resampled together in the intervals of differences; {alone} images as independent."
        if images
        else ""
    )
    if len(results.seeds) == 1:
        text = (
            "These two networks were compared, one training seed each: the intervals cover the choice of the test "
            "images, not the luck of a training."
        )
    else:
        text = (
            f"Means over {len(results.seeds)} training seeds; the intervals cover seeds and test images, and with so "
            "few seeds are still too narrow. p is the largest over the seeds."
        )
    return text + grouped
