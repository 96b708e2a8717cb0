"""`dvc repro` runs what a change calls for and nothing else; what dvc says about two commits can be read."""

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pandas
import pytest

from end_to_end.clones import STRATEGIES, Clone, all_stages, ran
from end_to_end.conftest import Built

REPORTED = {"transfer", "report"}
ATTACKS = {f"attack@{key}-natural-0" for key in STRATEGIES}


def chain(key: str) -> set[str]:
    """What belongs to one strategy alone."""
    return {f"prune@{key}", f"train@{key}-natural-0", f"attack@{key}-natural-0"}


def rows(clone: Clone, attack: str) -> pandas.DataFrame:
    tables = [pandas.read_parquet(path) for path in sorted(clone.root.glob("results/*/natural/0/rows.parquet"))]
    table = pandas.concat(tables, ignore_index=True)
    return table[table["attack"] == attack]


# Each scenario changes a copy of the grid of its own, and returns what its test looks at.


def eps(clone: Clone) -> dict[str, Any]:
    values = clone.params()
    values["threats"]["linf"]["eps"] = ["2/255", "8/255"]
    clone.write_params(values)
    stages = clone.repro()
    clone.commit("a smaller eps")
    params = clone.dvc("params", "diff", "HEAD~1", "HEAD")
    plots = clone.dvc("plots", "diff", "HEAD~1", "HEAD", "--json")
    return {"ran": stages, "params": params, "plots": json.loads(plots)}


def template_then_map(clone: Clone) -> dict[str, Any]:
    page = clone.root / "src/pixelprune/reporting/page.html.j2"
    page.write_text(page.read_text() + "<!-- the end -->\n")
    template = clone.repro()
    values = clone.params()
    values["maps"]["edges"] = {"name": "sobel", "reads": "data/raw"}
    clone.write_params(values)
    return {"template": template, "map": clone.repro()}


def attack_source(clone: Clone) -> dict[str, Any]:
    before = {attack: rows(clone, attack) for attack in clone.params()["ladder"]}
    clone.replace("src/pixelprune/attacks/fgsm.py", "ball.eps * ball.steepest", "0.5 * ball.eps * ball.steepest")
    stages = clone.repro()
    return {"ran": stages, "same": {attack for attack, table in before.items() if table.equals(rows(clone, attack))}}


def keep_share(clone: Clone) -> dict[str, Any]:
    values = clone.params()
    values["strategies"]["foreground"]["keep"] = 0.4
    clone.write_params(values)
    return {"ran": clone.repro()}


def strategy_added_then_removed(clone: Clone) -> dict[str, Any]:
    before = clone.params()
    clone.write_params(before | {"strategies": before["strategies"] | {"some": {"map": "foreground", "keep": 0.25}}})
    added = clone.repro()
    made = folders_of(clone, "some")
    clone.commit("some")
    metrics = clone.dvc("metrics", "diff", "HEAD~1", "HEAD")
    clone.write_params(before)
    removed = clone.repro()
    left = folders_of(clone, "some")
    return {"added": added, "made": made, "metrics": metrics, "removed": removed, "left": left, "again": clone.repro()}


def folders_of(clone: Clone, key: str) -> set[str]:
    rooms = ("data/pruned", "models", "results")
    return {room for room in rooms if (clone.root / room / key).exists()}


Scenario = Callable[[Clone], dict[str, Any]]
SCENARIOS: list[Scenario] = [strategy_added_then_removed, eps, attack_source, keep_share, template_then_map]


@pytest.fixture(scope="module")
def running(
    built: Built, two_at_a_time: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Scenario, Future[dict[str, Any]]]]:
    folder = tmp_path_factory.mktemp("scenarios")

    def play(scenario: Scenario) -> dict[str, Any]:
        return scenario(built.clone.copy(folder / scenario.__name__))

    yield {scenario: two_at_a_time.submit(play, scenario) for scenario in SCENARIOS}
    shutil.rmtree(folder)


def test_everything_runs_and_ends_in_a_report(built):
    assert ran(built.output) == all_stages()
    assert "<html" in (built.clone.root / "report/index.html").read_text()
    assert json.loads((built.clone.root / "metrics/summary.json").read_text())


def test_what_was_run_is_not_run_again(built):
    output = built.clone.dvc("repro")
    assert ran(output) == set()
    assert "Data and pipelines are up to date" in output


def test_git_sees_what_belongs_in_it(built):
    tracked = built.clone.run("git", "ls-files").splitlines()
    assert {"dvc.lock", "metrics/summary.json", "metrics/curves.csv"} <= set(tracked)
    artifacts = ("data/", "models/", "results/", "report/", ".pixelprune/")
    assert [name for name in tracked if name.startswith(artifacts) or "__pycache__" in name] == []
    assert built.clone.run("git", "status", "--short") == ""


def test_another_eps_attacks_and_reports(running):
    assert running[eps].result()["ran"] == ATTACKS | REPORTED


def test_the_template_of_the_report_only_reports(running):
    assert running[template_then_map].result()["template"] == {"report"}


def test_another_map_is_only_ranked(running):
    assert running[template_then_map].result()["map"] == {"importance@edges"}


def test_the_source_of_an_attack_trains_nothing(running):
    assert running[attack_source].result()["ran"] == ATTACKS | REPORTED


def test_the_source_of_an_attack_leaves_no_stale_row_and_renews_no_other(running):
    assert running[attack_source].result()["same"] == {"noise", "pgd"}


def test_another_share_runs_one_strategy(running):
    assert running[keep_share].result()["ran"] == chain("foreground") | REPORTED


def test_another_strategy_runs_alone(running):
    result = running[strategy_added_then_removed].result()
    assert result["added"] == chain("some") | REPORTED
    assert result["made"] == {"data/pruned", "models", "results"}


def test_a_removed_strategy_is_gone_and_stays_gone(running):
    result = running[strategy_added_then_removed].result()
    assert result["removed"] == {"transfer"}  # it removes the folders; the report of that grid is in the cache
    assert result["left"] == set()
    assert result["again"] == set()


def test_the_metrics_of_two_commits_fit_a_terminal(running):
    lines = running[strategy_added_then_removed].result()["metrics"].splitlines()
    assert any("some.natural.clean" in line for line in lines)
    assert max(map(len, lines)) <= 100, "\n".join(lines)


def test_the_params_of_two_commits_show_the_change(running):
    lines = running[eps].result()["params"].splitlines()
    assert len(lines) == 2
    assert "threats.linf.eps" in lines[1] and "4/255" in lines[1] and "2/255" in lines[1]


def test_the_curves_of_two_commits_can_be_plotted(running):
    plots = running[eps].result()["plots"]["data"]
    (drawn,) = (plots[name] for name in plots if "curves.csv" in name)
    assert drawn
