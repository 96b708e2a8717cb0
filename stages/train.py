"""train: learn the weights of one run, or take those that are given.

python stages/train.py STRATEGY TRAINING SEED
  reads   data/raw/, data/pruned/STRATEGY/
  writes  models/STRATEGY/TRAINING/SEED/model.safetensors           best epoch on validation, or the given weights
          models/STRATEGY/TRAINING/SEED/last.safetensors            last epoch, where there is one
          models/STRATEGY/TRAINING/SEED/{card.json,curve.csv}
"""

from functools import partial
from pathlib import Path

from pixelprune import cli, parallel, params, runtime, stage
from pixelprune.models.catalog import Network
from pixelprune.training import pretrained, run
from pixelprune.training.catalog import Training


def main(strategy: str, training: str, seed: str) -> None:
    parallel.start()
    runtime.prepare()
    network, entry = params.load("network", Network), params.load(f"trainings.{training}", Training)
    given, number = isinstance(entry, pretrained.Pretrained), params.seed(seed)
    work = partial(pretrained.take, entry) if given else partial(run.train, network, entry)
    goal = Path("models", strategy, training, seed)
    with stage.running(f"train@{strategy}-{training}-{seed}", goal), parallel.written_once(goal) as out:
        card = work(
            number,
            raw=Path("data/raw"),
            pruned_folder=Path("data/pruned", strategy),
            out=out,
            device=runtime.device(),
        )
        parallel.stop()
    epoch = "given weights" if given else f"epoch {card['best_epoch']} of {card['epochs']}"
    print(
        f"train {strategy} {training} {seed}: {epoch}, "
        f"validation {card['validation_clean']:.1%} clean, {card['validation_robust']:.1%} robust"
    )


if __name__ == "__main__":
    cli.run(main, __doc__)
