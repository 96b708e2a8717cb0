"""train: learn the weights of one run.

python stages/train.py STRATEGY TRAINING SEED
  reads   data/raw/, data/pruned/STRATEGY/
  writes  models/STRATEGY/TRAINING/SEED/{model,last}.safetensors    best epoch on validation, last epoch
          models/STRATEGY/TRAINING/SEED/{card.json,curve.csv}
"""

from pathlib import Path

from pixelprune import cli, params, runtime
from pixelprune.models.catalog import Network
from pixelprune.training import run
from pixelprune.training.catalog import Training


def main(strategy: str, training: str, seed: str) -> None:
    runtime.prepare()
    with cli.timed(f"train@{strategy}-{training}-{seed}"):
        card = run.train(
            params.load("network", Network),
            params.load(f"trainings.{training}", Training),
            int(seed),
            raw=Path("data/raw"),
            pruned_folder=Path("data/pruned", strategy),
            out=Path("models", strategy, training, seed),
            device=runtime.device(),
        )
    print(
        f"train {strategy} {training} {seed}: epoch {card['best_epoch']} of {card['epochs']}, "
        f"validation {card['validation_clean']:.1%} clean, {card['validation_robust']:.1%} robust"
    )


if __name__ == "__main__":
    cli.run(main, __doc__)
