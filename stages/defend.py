"""defend: put a defense around one trained model; what it has to learn is learned here.

python stages/defend.py TRAINING SEED DEFENSE
  reads   data/raw/, models/none/TRAINING/SEED/
  writes  defended/none/TRAINING/SEED/DEFENSE/learned.safetensors    may be empty
          defended/none/TRAINING/SEED/DEFENSE/card.json              options, what it declares, its cost
"""

from pathlib import Path

from pixelprune import cli, defending, params, runtime, stage
from pixelprune.defenses.catalog import Defense


def main(training: str, seed: str, defense: str) -> None:
    runtime.prepare()
    run, entry, number = Path("none", training, seed), params.load(f"defenses.{defense}", Defense), params.seed(seed)
    out = Path("defended") / run / defense
    with stage.running(f"defend@{training}-{seed}-{defense}", out):
        card = defending.learn(
            entry,
            raw=Path("data/raw"),
            pruned_folder=Path("data/pruned/none"),
            model=Path("models") / run,
            out=out,
            seed=number,
            device=runtime.device(),
        )
    print(f"defend {training} {seed} {defense}: learned {card['learned']:,} numbers")


if __name__ == "__main__":
    cli.run(main, __doc__)
