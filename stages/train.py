"""train: learn the weights of one run.

python stages/train.py STRATEGY TRAINING SEED
  reads   data/raw/, data/pruned/STRATEGY/
  writes  models/STRATEGY/TRAINING/SEED/{model,last}.safetensors    best epoch on validation, last epoch
          models/STRATEGY/TRAINING/SEED/{card.json,curve.csv}
"""

from pathlib import Path

from pixelprune import cli, parallel, params, runtime
from pixelprune.models.catalog import Network
from pixelprune.training import run
from pixelprune.training.catalog import Training


def main(strategy: str, training: str, seed: str) -> None:
    parallel.start()
    runtime.prepare()
    with (
        cli.timed(f"train@{strategy}-{training}-{seed}"),
        parallel.written_once(Path("models", strategy, training, seed)) as out,
    ):
        card = run.train(
            params.load("network", Network),
            params.load(f"trainings.{training}", Training),
            int(seed),
            raw=Path("data/raw"),
            pruned_folder=Path("data/pruned", strategy),
            out=out,
            device=runtime.device(),
        )
        parallel.stop()
    print(
        f"train {strategy} {training} {seed}: epoch {card['best_epoch']} of {card['epochs']}, "
        f"validation {card['validation_clean']:.1%} clean, {card['validation_robust']:.1%} robust"
    )


if __name__ == "__main__":
    cli.run(main, __doc__)
