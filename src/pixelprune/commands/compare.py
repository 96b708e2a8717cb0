"""Compares the accuracies of two revisions, image by image, and can fail on a significant drop.

Runs whose results are the same byte for byte are listed as unchanged without being read. Robust accuracies of invalid
runs are not printed: a run that is invalid only in the second revision is named, and is a drop for --gate.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelprune import params
from pixelprune.errors import PixelpruneError
from pixelprune.options import PixelDistance

if TYPE_CHECKING:
    import pandas as pd

    from pixelprune.commands._revision import Revision
    from pixelprune.evaluation.comparison import Comparison

HEADINGS = ("run", "accuracy", "n", "before", "after", "difference [95 %]", "p", "p, Holm", "")


@dataclass
class Outcome:
    """What was found, run by run."""

    before: str
    after: str
    changed: "list[tuple[str, Comparison]]" = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    only_before: list[str] = field(default_factory=list)
    only_after: list[str] = field(default_factory=list)
    invalid_before: dict[str, list[str]] = field(default_factory=dict)
    """Changed runs -> ids of the fatal checks that failed. Their robust accuracies are not compared."""
    invalid_after: dict[str, list[str]] = field(default_factory=dict)
    attacks: list[str] = field(default_factory=list)
    ladders_differ: bool = False

    @property
    def broken(self) -> list[str]:
        """Valid before, invalid after."""
        return [run for run in self.invalid_after if run not in self.invalid_before]


def main(arguments: list[str]) -> int:
    """Exit status: 0 compared, 1 with --gate a significant drop or a run that became invalid, 2 nothing to compare."""
    options = parser().parse_args(arguments)
    from pixelprune.commands import _revision

    before = _revision.load(options.study, options.before)
    after = _revision.load(options.study, options.after)
    outcome = compared(before, after, options.access)
    show(outcome, options)
    drops = [run for run, one in outcome.changed if one.significant(options.alpha) and one.difference.value < 0]
    return 1 if options.gate and (drops or outcome.broken) else 0


def parser() -> argparse.ArgumentParser:
    from pixelprune.evaluation.rows import ACCESSES

    words = argparse.ArgumentParser("python -m pixelprune compare", description=__doc__)
    words.add_argument("before", metavar="REV", help="commit, branch or tag")
    words.add_argument("after", metavar="REV", nargs="?", default="workspace", help="default: the workspace's dvc.lock")
    words.add_argument("--study", metavar="DIR", type=Path, default=Path(), help="folder of the study (default: here)")
    words.add_argument(
        "--access",
        default="kept",
        choices=ACCESSES,
        help="of pruned runs (default: kept); the strategy none has only full",
    )
    words.add_argument("--alpha", type=_share, default=0.05, help="level of a significant difference (default: 0.05)")
    words.add_argument(
        "--gate", action="store_true", help="exit with 1 on a significant drop, or where a run became invalid"
    )
    words.add_argument("--markdown", action="store_true", help="print Markdown instead of a terminal table")
    return words


def compared(before: "Revision", after: "Revision", access: str) -> Outcome:
    """Raises PixelpruneError where test images, threats or the headline eps differ, or no run is in both revisions."""
    from pixelprune.evaluation.comparison import corrected

    both = f"{before.name} and {after.name}"
    if not before.results.keys() & after.results.keys():  # a gate must not pass because nothing was looked at
        raise PixelpruneError(f"{both}: no run in common: not comparable.")
    if before.folders.get("data/raw") != after.folders.get("data/raw") and before.test_images != after.test_images:
        raise PixelpruneError(f"{both}: other test images (data/raw/test/images.npy): not comparable.")
    outcome = Outcome(before.name, after.name, ladders_differ=before.params.get("ladder") != after.params.get("ladder"))
    for run in sorted({*before.results, *after.results}):
        if run not in after.results:
            outcome.only_before.append(run)
        elif run not in before.results:
            outcome.only_after.append(run)
        elif _unchanged(run, before, after):
            outcome.unchanged.append(run)
        else:
            _compare_run(run, before, after, access, outcome)
    lines = corrected([one for _, one in outcome.changed])
    outcome.changed = [(run, one) for (run, _), one in zip(outcome.changed, lines)]
    return outcome


def _unchanged(run: str, before: "Revision", after: "Revision") -> bool:
    """The same results, and the transfer stage found nothing else of them."""
    if before.results[run] != after.results[run]:
        return False
    if before.folders.get("transfer") == after.folders.get("transfer"):
        return True
    return before.fatal_transfer(run) == after.fatal_transfer(run)


def _compare_run(run: str, before: "Revision", after: "Revision", access: str, outcome: Outcome) -> None:
    """Adds the clean accuracy on all test images, and the robust one on the attacked images for every threat.

    No robust one where the run is invalid in either revision.
    """
    from numpy.random import default_rng

    from pixelprune.evaluation import comparison, rows, worst_case

    where = f"{before.name} and {after.name}: {run}"
    clean_before, clean_after = (revision.table(run, "clean.parquet") for revision in (before, after))
    comparison.refuse_other_images(clean_before, clean_after, where)
    tables = [
        rows.checked(revision.table(run, "rows.parquet"), f"{revision.name}: {run}") for revision in (before, after)
    ]
    own = "full" if run.split("/")[0] == "none" else access
    first, second = (table[(table["access"] == own) & (table["threat"] != rows.UNBOUNDED)] for table in tables)
    for revision, table, of_access in ((before, tables[0], first), (after, tables[1], second)):
        if of_access.empty:  # a gate must not pass because nothing was looked at
            known = ", ".join(sorted(set(table["access"])))
            raise PixelpruneError(f"{revision.name}: {run} was not attacked under access {own}; it has {known}.")
    comparison.refuse_other_images(first, second, where)
    comparison.refuse_other_threats(first, second, where)
    outcome.attacks = sorted({*outcome.attacks, *second["attack"]})
    # One generator a line: an interval does not depend on which other runs changed.
    groups = clean_after.set_index("image").sort_index()["group"]
    line = comparison.compare("clean", _right(clean_before), _right(clean_after), groups, default_rng(0))
    outcome.changed.append((run, line))
    failed = before.fatal(run), after.fatal(run)
    for ids, invalid in zip(failed, (outcome.invalid_before, outcome.invalid_after), strict=True):
        if ids:
            invalid[run] = ids
    if any(failed):
        return
    for threat in sorted(set(second["threat"])):
        eps = _headline(before, after, threat, second)
        stood, stands = (worst_case.standing(table, own, threat, eps) for table in (first, second))
        what = f"{threat} {comparison.shown(eps)}"
        line = comparison.compare(what, stood, stands, worst_case.groups(second), default_rng(0))
        outcome.changed.append((run, line))


def _headline(before: "Revision", after: "Revision", threat: str, rows: "pd.DataFrame") -> float:
    """The eps that summaries speak of, which has to be the same; the largest where params.yaml names none."""
    found = []
    for revision in (before, after):
        entry: Any = (revision.params.get("threats") or {}).get(threat) or {}
        named = entry.get("headline")
        largest = float(rows.loc[rows["threat"] == threat, "eps"].max())
        found.append(largest if named is None else params.validated(named, PixelDistance, f"threats.{threat}.headline"))
    if abs(found[0] - found[1]) > 1e-9:
        raise PixelpruneError(
            f"{before.name} and {after.name}: threats.{threat}.headline differs ({found[0]:g}, {found[1]:g}): "
            "not comparable."
        )
    return found[1]


def _right(table: "pd.DataFrame") -> "pd.Series[bool]":
    own = table.set_index("image").sort_index()
    return own["pred"] == own["label"]


def show(outcome: Outcome, options: argparse.Namespace) -> None:
    lines = [_cells(run, one, options.alpha) for run, one in outcome.changed]
    print_table = _markdown if options.markdown else _terminal
    print_table(f"{outcome.before} -> {outcome.after}", lines, _notes(outcome, options))


def _cells(run: str, one: "Comparison", alpha: float) -> tuple[str, ...]:
    mark = "" if not one.significant(alpha) else "drop" if one.difference.value < 0 else "gain"
    p = (f"{value:.4f}" if value >= 1e-4 else "< 0.0001" for value in (one.test.p, one.adjusted))
    return run, one.what, str(one.before.n), one.before.brief, one.after.brief, one.difference.brief, *p, mark


def _notes(outcome: Outcome, options: argparse.Namespace) -> list[str]:
    notes = []
    if outcome.changed:
        notes.append(
            f"Robust: worst case of {', '.join(outcome.attacks)} under access {options.access} (the strategy none: "
            "full), white-box; clean errors count as broken. Intervals 95 %: of rates Clopper-Pearson, of differences "
            "paired bootstrap by groups of images. p: exact McNemar, images taken as independent; Holm over "
            f"{len(outcome.changed)} tests. Marked where p, Holm <= {options.alpha:g} and the interval excludes 0. "
            "Each line is about these two networks."
        )
    else:
        notes.append("No run that both revisions have changed.")
    if outcome.ladders_differ:
        notes.append("The options of the ladder differ: a part of a difference may be the attacks', not the models'.")
    for words, runs in (
        ("Unchanged (the same results, byte for byte)", outcome.unchanged),
        ("Only before", outcome.only_before),
        ("Only after", outcome.only_after),
        ("Invalid before, robust accuracy not compared (fatal checks)", _reasons(outcome.invalid_before)),
        ("Invalid after, robust accuracy not compared (fatal checks)", _reasons(outcome.invalid_after)),
        ("Became invalid, which --gate takes as a drop", outcome.broken),
    ):
        if runs:
            notes.append(f"{words}: {', '.join(runs)}.")
    return notes


def _reasons(invalid: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"{run} ({', '.join(ids)})" for run, ids in invalid.items()]


def _markdown(title: str, lines: Sequence[tuple[str, ...]], notes: list[str]) -> None:
    print(f"**{title}**\n")
    if lines:
        for cells in (HEADINGS, ("---",) * len(HEADINGS), *lines):
            print("| " + " | ".join(cells) + " |")
        print()
    print("\n\n".join(notes))


def _terminal(title: str, lines: Sequence[tuple[str, ...]], notes: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160  # a log does not wrap
    console.print(Text(title, style="bold"))
    if lines:
        table = Table(*HEADINGS)
        for cells in lines:
            table.add_row(*map(Text, cells), style={"drop": "red", "gain": "green"}.get(cells[-1]))
        console.print(table)
    for note in notes:
        console.print(Text(note))


def _share(word: str) -> float:
    value = float(word)
    if not 0 < value < 1:
        raise ValueError
    return value
