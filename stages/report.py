"""report: from per-image rows to an answer.

python stages/report.py
  reads   data/raw/, data/segments/, data/pruned/, models/, results/ of the runs that params.yaml names
          results_defended/, measures/    of its defenses and measures
  writes  report/index.html, report/*.csv
          metrics/summary.json, metrics/curves.csv    small, kept in git
  removes folders of runs that params.yaml no longer names: left alone, they would make the folders' hashes differ
"""

from pathlib import Path

from pixelprune import cli, orphans, params, stage
from pixelprune.reporting import collect, lineage, write


def main() -> None:
    values = params.read()
    with stage.running("report", Path("report")):
        study = {key: params.section(values, key) for key in ("strategies", "trainings", "seeds", "threats", "ladder")}
        orphans.remove(Path("."), values)
        results = collect.read(
            Path("."),
            **study,
            **{key: values.get(key, {}) for key in ("defenses", "measures")},
        )
        write.write(results, Path("report"), Path("metrics"), lineage.collected(values, Path("dvc.lock")))
    print(f"report: {len(results.runs)} runs, report/index.html")


if __name__ == "__main__":
    cli.run(main, __doc__)
