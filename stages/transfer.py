"""transfer: try the stored adversarial images of every run on every other run.

python stages/transfer.py
  reads   data/raw/, data/pruned/, models/, results/ of the runs that params.yaml names
  writes  transfer/rows.parquet    one row a target x source x threat x image
          transfer/checks.json     check E29 of each run
  removes folders of runs that params.yaml no longer names: left alone, they would make the folders' hashes differ
"""

from pathlib import Path

from pixelprune import artifacts, cli, orphans, params, runtime, stage
from pixelprune.attacks.threat import Threat
from pixelprune.harness import transfer


def main() -> None:
    runtime.prepare()
    values = params.read()
    axes = [params.section(values, key) for key in ("strategies", "trainings", "seeds")]
    threats = params.load("threats", dict[str, Threat])
    places = [f"{strategy}/{training}/{seed}" for strategy in axes[0] for training in axes[1] for seed in axes[2]]
    with stage.running("transfer", Path("transfer")):
        orphans.remove(Path("."), values)
        rows, checks = transfer.measure(places, threats, runtime.device())
        artifacts.save_table(Path("transfer/rows.parquet"), rows)
        artifacts.save_json(Path("transfer/checks.json"), checks)
    print(f"transfer: {len(places)} runs, {sum(check['verdict'] == 'fail' for check in checks.values())} fail E29")


if __name__ == "__main__":
    cli.run(main, __doc__)
