"""Writes the whole report: the page, its tables, and the numbers that are kept in git."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelprune import artifacts
from pixelprune.reporting import defended, measured, sections, tables
from pixelprune.reporting.analysis import analyze
from pixelprune.reporting.collect import Results
from pixelprune.reporting.page import render
from pixelprune.reporting.summary import summary

if TYPE_CHECKING:
    import pandas

LIMIT = 5_000_000
"""Bytes of index.html."""


def write(results: Results, folder: Path, metrics: Path, lineage: Mapping[str, Any]) -> None:
    """folder/{index.html,accuracy.csv,decomposition.csv,corruptions.csv,checks.csv}, metrics/{summary.json,curves.csv}.

    lineage: {"params": text of params.yaml, "params_hash", "inputs": {path: hash}, "versions": {package: version}};
    what is missing is left out. The same results give the same bytes. Of a study with defenses also
    folder/defended.csv, of one with measures folder/measured.csv.
    """
    analyses = [analyze(results, threat) for threat in results.threats.values()]
    defenses, measures = defended.analyze(results, analyses[0]), sections.of_measures(results, analyses[0])
    page = render(results, analyses, lineage, defenses, measures.blocks)
    assert len(page.encode()) <= LIMIT, f"the report has {len(page.encode()):,} bytes, expected at most {LIMIT:,}"
    artifacts.save_text(folder / "index.html", page)
    _save(folder / "accuracy.csv", tables.accuracy(results, analyses))
    _save(folder / "decomposition.csv", tables.decomposition(analyses))
    _save(folder / "corruptions.csv", tables.corruptions(results))
    _save(folder / "checks.csv", tables.checks(results))
    numbers: dict[str, Any] = summary(analyses)
    if defenses:
        _save(folder / "defended.csv", defended.table(defenses))
        numbers["defended"] = defended.summary(defenses)
    if measures.blocks:
        _save(folder / "measured.csv", measured.table(results.measured, measures.values))
    artifacts.save_json(metrics / "summary.json", numbers)
    _save(metrics / "curves.csv", tables.curves(results))


def _save(path: Path, table: "pandas.DataFrame") -> None:
    artifacts.save_text(path, table.to_csv(index=False, lineterminator="\n"))
