"""measure: put one question to one trained run.

python stages/measure.py STRATEGY TRAINING SEED MEASURE
  reads   data/raw/, data/pruned/STRATEGY/, models/STRATEGY/TRAINING/SEED/
  writes  measures/STRATEGY/TRAINING/SEED/MEASURE/summary.json    plain numbers, each share with its n
          measures/STRATEGY/TRAINING/SEED/MEASURE/*.parquet       what they are counted from
          measures/STRATEGY/TRAINING/SEED/MEASURE/*.npy           pictures, uint8 (H, W) or (H, W, 3)
"""

from pathlib import Path

from pixelprune import cli, measuring, params, runtime, stage
from pixelprune.attacks.threat import Threat
from pixelprune.measures.catalog import Measure


def main(strategy: str, training: str, seed: str, measure: str) -> None:
    runtime.prepare()
    run = Path(strategy, training, seed)
    what = f"measure {strategy} {training} {seed} {measure}"
    entry, number = params.load(f"measures.{measure}", Measure), params.seed(seed)
    threat = next(iter(params.load("threats", dict[str, Threat]).values()))
    out = Path("measures") / run / measure
    with stage.running(f"measure@{strategy}-{training}-{seed}-{measure}", out):
        found = measuring.measure(
            entry,
            threat,
            raw=Path("data/raw"),
            pruned_folder=Path("data/pruned", strategy),
            model=Path("models") / run,
            out=out,
            seed=number,
            device=runtime.device(),
            tell=cli.teller(what),
        )
    print(f"{what}: {len(found.tables)} tables, {len(found.pictures)} pictures")


if __name__ == "__main__":
    cli.run(main, __doc__)
