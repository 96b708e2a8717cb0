"""How names, radii, shares and probabilities are written."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pixelprune.evaluation.intervals import Estimate, percent
from pixelprune.reporting.collect import Pruned, Results, ThreatEntry

DATA_SETS = {"signs": "road-sign", "cifar10": "CIFAR-10", "gtsrb": "GTSRB", "coco": "COCO-crop"}
NORMS = {"linf": "L∞", "l2": "L2"}


def radius(eps: float) -> str:
    """As the literature writes it: 0.0314 -> "8/255"; 0.5 -> "0.5"."""
    steps = eps * 255
    if not eps:
        return "0"
    if eps < 1 and abs(steps - round(steps, 0 if eps > 0.1 else 1)) < 1e-6:
        return f"{round(steps, 1):g}/255"
    return f"{eps:g}"


def fine_radius(eps: float) -> str:
    """A radius between those of a study: 0.0157 -> "4.0/255"; 0.5 -> "0.50"."""
    return f"{eps * 255:.1f}/255" if eps < 0.1 else f"{eps:.2f}"


def norm(threat: ThreatEntry) -> str:
    return NORMS.get(threat.norm, threat.norm)


def ball(threat: ThreatEntry) -> str:
    """As "L∞ 8/255"."""
    return f"{norm(threat)} {radius(threat.headline)}"


def threat(entry: ThreatEntry) -> str:
    """As "threat linf (L∞)": two threats of one norm are told apart by the name."""
    return f"threat {entry.name} ({norm(entry)})"


def attack_list(results: Results) -> str:
    return listed(results.ladder)


def rate(share: Estimate) -> str:
    """As "53.1 % [48.6, 57.5]"."""
    return f"{percent(share.value)} % [{percent(share.low)}, {percent(share.high)}]"


def rate_n(share: Estimate) -> str:
    """As "53.1 % [48.6, 57.5], n = 500 x 3 seeds"."""
    return f"{rate(share)}, {sample(share)}"


def size(difference: Estimate) -> str:
    """Of a difference whose interval excludes zero, without the sign: -0.051 -> "5.1 pt [3.0, 7.2]"."""
    least, most = sorted(map(abs, difference.interval))
    return f"{percent(abs(difference.value))} pt [{percent(least)}, {percent(most)}]"


def sample(estimate: Estimate) -> str:
    return f"n = {estimate.n:,}" + (f" × {estimate.seeds} seeds" if estimate.seeds > 1 else "")


def probability(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def listed(names: Iterable[str], last: str = "and") -> str:
    """As "a", "a and b", "a, b and c"."""
    words = list(names)
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def kept_pixels(pruned: Pruned) -> str:
    """As "36 % of the pixels"."""
    return f"{100 * pruned.kept:.0f} % of the pixels"


def sees(pruned: Pruned) -> str:
    """What a strategy's network is shown, as the end of "the network that sees ..."."""
    kind = pruned.kind
    own = pruned.options.get("keep") == "own"
    region = {
        "foreground": "only the foreground",
        "background": "only the background",
        "shifted": "the foreground's mask moved elsewhere",
    }.get(kind)
    if region and own:
        return f"{region} ({kept_pixels(pruned)})"
    return f"the {kept_pixels(pruned)} that `{pruned.name}` ranks first"


def subject(data: Mapping[str, Any]) -> str:
    """As "a road-sign classifier"."""
    name = DATA_SETS.get(data["name"])
    return f"a {name} classifier" if name else "this classifier"


def minus(text: object) -> str:
    """Hyphens before numbers become true minus signs."""
    return re.sub(r"(?<![\w./])-(?=\d)", "−", str(text))
