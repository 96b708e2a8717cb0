"""benchmarks/results.json, and the page that it renders to."""

from pathlib import Path
from string import ascii_uppercase
from typing import Any

from common.models import HERE
from pixelprune import artifacts
from pixelprune.errors import ArtifactError

JSON, PAGE = HERE / "results.json", HERE / "RESULTS.md"

FIELDS = (
    "subject", "model", "n", "ours_s", "peer_s", "ratio", "ours_robust", "peer_robust", "ours_passes", "peer_passes",
    "floor_share", "machine",
)  # fmt: skip
"""Of every entry; null where a subject has no such number. Passes are forward and backward ones together.

An entry may have more: peer, norm, weights, passes (apart), measured, note, disagree."""

SUBJECTS = {
    "pgd20": "PGD, 20 steps, one start",
    "apgd_ce100": "APGD on cross-entropy, 100 steps",
    "aa_standard_adversarial": "AutoAttack standard, adversarially trained",
    "aa_standard_natural": "AutoAttack standard, naturally trained",
    "fast_ensemble": "The fast ensemble against AutoAttack standard",
    "max_ensemble": "The max ensemble against AutoAttack standard",
    "aa_masked": "AutoAttack standard on a quarter of the pixels",
    "smoothgrad50": "SmoothGrad, 50 samples",
    "corruptions": "Corruptions at severity 3",
    "training": "Training on images as they are",
    "scaling": "What grows and what does not",
}
"""In the order of the page."""

Entry = dict[str, Any]
NOT_RUN = "not run: "
NO_WEIGHTS = "no weights yet, `make bench TRAIN=1` trains this network first"

HEAD = """\
# Benchmarks

Written by `make bench` from results.json. Ours and the peer run on the same model, images and threads and take turns; a
time is the median of 3 on the first 64 images, or of all n where those are fewer, unless a note says otherwise.

- ratio: the peer's time over ours
- robust: share of all n images that are right as attacked, by one float32 forward pass of the original model, for both
- passes: forward and backward together, on those n images
- machine: a letter, named at the end; what was measured on another one stays
- weights: how their hash begins; accuracies of others than the kept ones are those of an earlier training
- floor: the part of our time that the bare passes take in our best mode
- the peer gets the model as any library would: a float32 module in eval mode
"""


def entry(**values: Any) -> Entry:
    """An entry with every field, floats to four digits. Raises ValueError for a subject that is not known."""
    if values["subject"] not in SUBJECTS:
        raise ValueError(f"found subject {values['subject']!r}, expected one of {', '.join(SUBJECTS)}")
    return dict.fromkeys(FIELDS) | {name: _rounded(value) for name, value in values.items()}


def not_run(why: str, **values: Any) -> Entry:
    """An entry that says what was missing."""
    return entry(**values, note=NOT_RUN + why)


def replace(subject: str, entries: list[Entry], model: str = "", path: Path = JSON, page: Path = PAGE) -> None:
    """Puts these entries in the place of the subject's old ones of this machine, and writes the page anew.

    model: only in the place of this one's. Entries of a model that could not be run replace no measured ones, and it is
    named afterwards: by an ArtifactError, but for one whose weights nobody has asked for.
    """
    old = artifacts.load_json(path) if path.exists() else []
    missing = {each["model"]: each["note"] for each in entries if each.get("note", "").startswith(NOT_RUN)}
    measured = {each["model"] for each in old if each["subject"] == subject and each["machine"] is not None}
    left = missing.keys() & measured
    here = {each["machine"] for each in entries} | {None}
    together = [each for each in entries if each["model"] not in left]
    together += [
        each for each in old
        if each["subject"] != subject or model not in ("", each["model"]) or each["model"] in left
        or each["machine"] not in here
    ]  # fmt: skip
    subjects, names = list(SUBJECTS), list(dict.fromkeys(each["model"] for each in [*old, *entries]))
    together.sort(key=lambda each: (subjects.index(each["subject"]), names.index(each["model"])))
    artifacts.save_json(path, together)
    artifacts.save_text(page, render(together))
    if missing:
        lines = (
            f"  {name}: {note}{'; its figures are those of before' * (name in left)}" for name, note in missing.items()
        )
        message = "\n".join([f"{subject}: {len(missing)} of its models could not be run", *lines])
        if not model and set(missing.values()) == {NOT_RUN + NO_WEIGHTS}:
            print(message, flush=True)
        else:
            raise ArtifactError(message)


def render(entries: list[Entry]) -> str:
    """The page, a table a subject."""
    parts = [HEAD]
    machines = sorted({str(each["machine"]) for each in entries if each["machine"]})
    letters = dict(zip(machines, ascii_uppercase))
    for subject, title in SUBJECTS.items():
        own = [each for each in entries if each["subject"] == subject]
        if own:
            parts.append(
                f"## {title}\n\n`python benchmarks/{subject}.py`\n\n{_table(own, letters)}{_notes(own, letters)}"
            )
    lines = [f"- {letter}: {machine}\n" for machine, letter in letters.items()]
    parts.append("## Machines\n\n" + "".join(lines))
    return "\n".join(parts)


def _table(entries: list[Entry], letters: dict[str, str]) -> str:
    columns = {
        "model": "model", "peer": "peer", "norm": "norm", "n": "n", "ours_s": "ours, s", "peer_s": "peer, s",
        "ratio": "ratio", "ours_robust": "ours robust", "peer_robust": "peer robust", "ours_passes": "our passes",
        "peer_passes": "peer's passes", "floor_share": "floor", "machine": "machine",
        "weights": "weights",
    }  # fmt: skip
    extra = sorted({name for each in entries for name in each.get("measured", {})})
    shown = {name: title for name, title in columns.items() if any(each.get(name) is not None for each in entries)}
    head = [*shown.values(), *extra]
    rows = [
        [*(_cell(name, each.get(name)) for name in shown), *(_cell("", each.get("measured", {}).get(x)) for x in extra)]
        for each in ({**each, "machine": letters.get(each["machine"])} for each in entries)
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name in ("ours_robust", "peer_robust", "floor_share"):
        return f"{value:.1%}"
    if name in ("ours_passes", "peer_passes"):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _notes(entries: list[Entry], letters: dict[str, str]) -> str:
    lines = []
    for each in entries:
        where = ", ".join(
            word for word in (each["model"], each.get("peer"), each.get("norm"), letters.get(each["machine"])) if word
        )
        if each.get("note"):
            lines.append(f"- {where}: {each['note']}")
        if each.get("disagree"):
            lines.append(f"- {where}: verdicts differ on these images: {_ids(each['disagree'])}")
    return "\n" + "\n".join(lines) + "\n" if lines else ""


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _ids(disagree: dict[str, list[int]]) -> str:
    return "; ".join(f"{who} {', '.join(map(str, ids))}" for who, ids in disagree.items())


if __name__ == "__main__":
    artifacts.save_text(PAGE, render(artifacts.load_json(JSON)))
