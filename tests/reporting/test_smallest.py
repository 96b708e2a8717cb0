"""The figure of every radius says what the table of the smallest eps holds."""

from dataclasses import replace

import numpy as np
import pytest

from pixelprune.reporting import figure_smallest
from pixelprune.reporting.analysis import analyze
from pixelprune.reporting.collect import Results
from reporting import synthetic
from reporting.conftest import Study, with_failed

EPS = synthetic.EPS[-1]


def with_radii(results: Results, radii: dict[str, list[float]]) -> Results:
    """These radii, in 1/255, of the first images of each strategy; nothing measured of the others."""
    runs = {}
    for key, run in results.runs.items():
        assert run.smallest is not None
        own = np.array(radii.get(key[0], [])) / 255
        table = run.smallest.head(len(own)).assign(radius=own) if key[0] in radii else None
        runs[key] = replace(run, smallest=table)
    return replace(results, runs=runs)


def drawn(results: Results) -> "figure_smallest.Figure | None":
    return figure_smallest.every_radius(results, analyze(results, next(iter(results.threats.values()))))


def test_medians_and_ends_are_those_of_the_table(study: Study) -> None:
    radii = {"none": [0, 0, 1, 2.5, np.inf], "foreground": [0, 3, np.inf, np.inf, np.inf]}
    figure = drawn(with_radii(study(), radii))
    assert figure is not None
    assert figure.rows == (
        ("none", "full", "1.0/255", "40.0 %", "20.0 %", "5"),
        ("foreground", "kept", "beyond 8/255", "20.0 %", "60.0 %", "5"),
    )
    assert figure.title == "Half of the images are wrong from eps = none 1.0/255 and foreground beyond 8/255"
    assert len(figure.panels) == 2
    assert "n = 5, first seed" in figure.note


def test_a_curve_falls_at_each_radius(study: Study) -> None:
    results = with_radii(study(), {"none": [0, 4, 8, np.inf]})
    table = results.of("none", "adversarial")[0].smallest
    assert table is not None
    points = figure_smallest._curve(table, next(iter(results.threats.values())))
    at = {round(point.x * 255, 2): point for point in points}
    assert [at[eps].y for eps in (0, 3.75, 4, 7.75, 8)] == [0.75, 0.75, 0.5, 0.5, 0.25]
    assert all(point.low <= point.y <= point.high for point in points)


def test_nothing_is_drawn_of_what_was_not_measured_or_is_invalid(study: Study) -> None:
    results = study()
    assert drawn(with_radii(results, {})) is None
    radii = {"none": [1.0], "foreground": [2.0]}
    figure = drawn(with_failed(with_radii(results, radii), {"foreground"}))
    assert figure is not None and [row[0] for row in figure.rows] == ["none"]


@pytest.mark.parametrize(("eps", "text"), [(1 / 255, "1.0/255"), (2.46 / 255, "2.5/255"), (0.5, "0.50")])
def test_radii_between_those_of_a_study(eps: float, text: str) -> None:
    from pixelprune.reporting import words

    assert words.fine_radius(eps) == text
