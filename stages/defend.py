"""defend: put a defense around one trained model; what it has to learn is learned here.

python stages/defend.py STRATEGY TRAINING SEED DEFENSE
  reads   data/raw/, models/STRATEGY/TRAINING/SEED/
  writes  defended/STRATEGY/TRAINING/SEED/DEFENSE/learned.safetensors    may be empty
          defended/STRATEGY/TRAINING/SEED/DEFENSE/card.json              options, what it declares, its cost
"""

from pathlib import Path

from pixelprune import cli, defending, params, runtime
from pixelprune.defenses.catalog import Defense


def main(strategy: str, training: str, seed: str, defense: str) -> None:
    runtime.prepare()
    run = Path(strategy, training, seed)
    with cli.timed(f"defend@{strategy}-{training}-{seed}-{defense}"):
        card = defending.learn(
            params.load(f"defenses.{defense}", Defense),
            raw=Path("data/raw"),
            pruned_folder=Path("data/pruned", strategy),
            model=Path("models") / run,
            out=Path("defended") / run / defense,
            seed=int(seed),
            device=runtime.device(),
        )
    print(f"defend {strategy} {training} {seed} {defense}: learned {card['learned']:,} numbers")


if __name__ == "__main__":
    cli.run(main, __doc__)
