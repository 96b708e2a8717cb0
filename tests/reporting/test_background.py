"""The figure of other budgets says what the tables hold, paired image by image."""

from dataclasses import replace

import numpy as np
import pandas as pd

from pixelprune.reporting import figure_background
from pixelprune.reporting.analysis import analyze
from pixelprune.reporting.collect import Results
from pixelprune.reporting.figure import Figure
from reporting.conftest import Study, with_failed


def with_background(results: Results, stands: dict[str, dict[float, list[list[int]]]]) -> Results:
    """By strategy and multiple, which of the first images stand: of the full model, of the pruned one."""
    threat = next(iter(results.threats.values()))
    runs = {}
    for key, run in results.runs.items():
        tables = []
        for times, both in stands.get(key[0], {}).items():
            for access, right in zip(figure_background.ACCESSES, both, strict=True):
                own = run.rows[run.rows["threat"] == threat.name].drop_duplicates("image").head(len(right))
                label = own["label"].to_numpy()
                wrong = np.where(np.array(right) == 1, label, (label + 1) % 8).astype(np.int16)
                tables.append(
                    own.assign(access=access, background=times, clean_pred=label, adv_pred=wrong, eps=threat.headline)
                )
        runs[key] = replace(run, background=pd.concat(tables) if tables else None)
    return replace(results, runs=runs)


def drawn(results: Results) -> Figure | None:
    return figure_background.budgets(results, analyze(results, next(iter(results.threats.values()))))


def test_accuracies_and_differences_are_those_of_the_tables(study: Study) -> None:
    stands = {"foreground": {1.0: [[1, 1, 0, 0], [1, 1, 1, 0]], 4.0: [[0, 0, 0, 0], [1, 1, 0, 0]]}}
    figure = drawn(with_background(study(), stands))
    assert figure is not None and len(figure.panels) == 1
    found = [(*row[:2], row[2].split()[0], row[3].split()[0], row[4].split()[0], row[5]) for row in figure.rows]
    assert found == [
        ("foreground", "1 eps", "50.0", "75.0", "+25.0", "n = 4"),
        ("foreground", "4 eps", "0.0", "50.0", "+50.0", "n = 4"),
    ]
    assert "at most: foreground +50.0 pt" in figure.title and figure.title.endswith("at 4 eps")


def test_nothing_is_drawn_of_what_was_not_measured_or_is_invalid(study: Study) -> None:
    results = study()
    assert drawn(results) is None
    stands = {name: {1.0: [[1, 0], [1, 1]]} for name in ("foreground", "shifted")}
    figure = drawn(with_failed(with_background(results, stands), {"foreground"}))
    assert figure is not None and {row[0] for row in figure.rows} == {"shifted"}
