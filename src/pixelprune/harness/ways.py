"""Which ways of attack a defense calls for, by what it declares of itself.

transferred   points made on the undefended network: not a robustness number
fast          the ensemble that models get, on a defense that neither draws nor searches
plain         a thousand steps along the gradient of one fresh draw
mean_N        the same ensemble along the gradient of the mean of N draws (EOT)
bpda          of a defense that searches: what it adds to an image is taken as constant
unrolled      the same, derived step by step
bpda_N, unrolled_N   along the mean of N draws, where it draws as well
confident     of a posterior: goes on until it is sure of a wrong class, so that its doubt tells nothing
square, rays  from its logits alone, from its classes alone
Sources: Athalye et al., ICML 2018, arXiv:1802.00420, section 4; Croce et al., "Evaluating the Adversarial Robustness of
Adaptive Test-time Defenses", ICML 2022, arXiv:2202.13711; Gao et al., NeurIPS 2022, arXiv:2206.09491.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pixelprune.attacks.apgd import APGD
from pixelprune.attacks.attack import Attack
from pixelprune.attacks.believed import Believed
from pixelprune.attacks.rays import RayS
from pixelprune.attacks.square import Square
from pixelprune.attacks.stochastic.confident import Confident
from pixelprune.attacks.stochastic.demanding import Demanding
from pixelprune.attacks.stochastic.firm import Firm, clearly
from pixelprune.attacks.stochastic.patient import Patient
from pixelprune.harness.behind import Behind, Defense, Gradient
from pixelprune.harness.effort import Effort

CLEAN, STATIC, TRANSFERRED, CONFIDENT = "clean", "static", "transferred", "confident"
"""The first three search nothing on the defended network; `static` is judged on the undefended one."""
SURE = 0.95
"""The probability of a wrong class with which an attack on the doubt of a posterior is content."""


@dataclass(frozen=True)
class Way:
    attacks: Mapping[str, Attack]
    """For all images of the batch; the worst point of all of them counts."""
    images: int
    """How many, the first ones, are attacked."""
    draws: int = 1
    """Behind each answer that the attacks get."""
    gradient: Gradient = "identity"


def ways(behind: Behind, effort: Effort, fast: Attack) -> dict[str, Way]:
    """Those that search on the defended network. fast: the ensemble that models get."""
    defense = behind.defense
    few = min(effort.costliest, len(behind.batch))
    some, all_of_them = min(effort.costly, len(behind.batch)), min(effort.images, len(behind.batch))
    found: dict[str, Way] = {}

    def add(name: str, images: int, attacks: Mapping[str, Attack], draws: int = 1, by: Gradient = "identity") -> None:
        own = {key: believed(behind, effort, attack, draws, f"{name} {key}") for key, attack in attacks.items()}
        found[name] = Way(own, images, draws if defense.randomised else 1, by)

    ce: dict[str, Attack] = {"ce": APGD(steps=effort.steps)}
    both = ce | {"dlr": APGD(steps=effort.steps, loss="dlr")}
    if defense.dynamic:
        add("bpda", some, both)
        add("unrolled", some, ce, by="unrolled")
        if defense.randomised:
            add(f"bpda_{effort.search_draws}", few, both, effort.search_draws)
            add(f"unrolled_{effort.search_draws}", few, ce, effort.search_draws, by="unrolled")
    elif defense.randomised:
        for draws, images in zip(effort.draws, (all_of_them, some, few)):
            add(f"mean_{draws}", images, {fast.name: fast}, draws)
        found["plain"] = Way({"patient": Patient(judge(behind, effort, "plain"), effort.plain_steps)}, some)
    else:
        add(fast.name, all_of_them, {fast.name: fast})
    if defense.posterior:
        found[CONFIDENT] = Way({"margin": sure(behind, effort)}, some, effort.draws[0] if defense.randomised else 1)
    for name, attack in (("square", Square(queries=effort.queries)), ("rays", RayS(queries=effort.queries))):
        images = few if defense.dynamic else some if defense.randomised else all_of_them
        add(name, images, {name: attack}, effort.search_draws)
    return found


def believed(behind: Behind, effort: Effort, attack: Attack, draws: int, word: str) -> Attack:
    """The attack itself, or, on answers by chance, judged by draws that it has not seen. draws: behind an answer."""
    if not behind.defense.randomised:
        return attack
    # RayS is told classes, no numbers that could be clear.
    demanding = attack if isinstance(attack, RayS) else Demanding(attack, Firm, clearly(draws))
    return Believed(demanding, judge(behind, effort, word), effort.tries)


def sure(behind: Behind, effort: Effort) -> Attack:
    """Goes on until one wrong class is nearly certain, by fresh draws as well: doubt is then as low as it can be."""
    attack = Demanding(APGD(steps=effort.steps, loss="margin"), Confident, SURE)
    if not behind.defense.randomised:
        return attack
    model = behind.model(verdict_draws(behind.defense, effort), f"judge {CONFIDENT}")
    return Believed(attack, Confident(model, behind.batch.labels, SURE), effort.tries)


def judge(behind: Behind, effort: Effort, word: str) -> Firm:
    """As many draws as decide, other ones, and they must err clearly."""
    draws = verdict_draws(behind.defense, effort)
    return Firm(behind.model(draws, f"judge {word}"), behind.batch.labels, clearly(draws))


def verdict_draws(defense: Defense, effort: Effort) -> int:
    """How many draws decide: 1 where the defense has no say in chance, fewer where each is a search."""
    if not defense.randomised:
        return 1
    return effort.search_draws if defense.dynamic else effort.verdict_draws


def along_means(names: Iterable[str]) -> list[list[str]]:
    """Ways that differ in their draws a step alone, in ascending order: (mean_20, mean_50), (bpda, bpda_10)"""
    chains: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        stem, _, draws = name.partition("_")
        if draws and not draws.isdecimal():
            continue
        chains.setdefault(stem, []).append((int(draws or 1), name))
    return [[name for _, name in sorted(chain)] for chain in chains.values() if len(chain) > 1]
