"""attack: attack one run under every access, corrupt its images, and check the attack itself.

python stages/attack.py STRATEGY TRAINING SEED
  reads   data/raw/, data/pruned/STRATEGY/, models/STRATEGY/TRAINING/SEED/, models/none/TRAINING/SEED/
  writes  results/STRATEGY/TRAINING/SEED/rows.parquet          one row an image x access x threat x eps x attack
          results/STRATEGY/TRAINING/SEED/clean.parquet         every test image
          results/STRATEGY/TRAINING/SEED/corruptions.parquet   one row an image x corruption x severity
          results/STRATEGY/TRAINING/SEED/examples/             the worst adversarial image of fixed test images
          results/STRATEGY/TRAINING/SEED/{checks,card}.json
"""

from pathlib import Path

from pixelprune import artifacts, cli, closure, parallel, params, pruned, runtime, selecting, stage, state
from pixelprune.attacks.catalog import Attack
from pixelprune.attacks.threat import Threat
from pixelprune.corruptions.catalog import CORRUPTIONS
from pixelprune.datasets import split
from pixelprune.harness import run
from pixelprune.harness.job import Run
from pixelprune.harness.settings import Evaluation


def main(strategy: str, training: str, seed: str) -> None:
    parallel.start()
    runtime.prepare()
    device = runtime.device()
    own, full = (Path("models", key, training, seed) for key in (strategy, "none"))
    masks, out = Path("data/pruned", strategy), Path("results", strategy, training, seed)
    selector = selecting.load(masks)
    settings = params.load("evaluation", Evaluation)
    job = Run(
        name=f"{strategy}/{training}",
        network=selecting.load_network(own).to(device),
        full_network=None if strategy == "none" else selecting.load_network(full).to(device),
        strategy=pruned.load(masks),
        rank=selector.rank(),
        smooth=selector.smooth(),
        threats=params.load("threats", dict[str, Threat]),
        ladder=params.load("ladder", dict[str, Attack]),
        corruptions={name: CORRUPTIONS[name] for name in settings.corruptions},
        settings=settings,
        seed=params.seed(seed),
    )
    inputs = [place / name for place in (own, full) for name in ("model.safetensors", "card.json")]
    inputs += [masks / name for name in ("test.npy", "card.json", "selector.json", "selector.safetensors")]
    inputs += [Path("data/raw/test", f"{name}.npy") for name in ("images", "labels", "ids")]
    name = state.fingerprint(
        files=[state.file_digest(path) for path in inputs], images=settings.images, code=closure.digest(run.sources()),
    )  # fmt: skip
    with stage.running(f"attack@{strategy}-{training}-{seed}", out), state.locked(name) as folder:
        with parallel.written_once(out) as place:
            card = run.evaluate(job, split.load(Path("data/raw"), "test"), place, folder, device)
            card |= {"strategy": strategy, "training": training, "seed": params.seed(seed)}
            artifacts.save_json(place / "card.json", card)
        parallel.stop()
    print(f"attack {strategy} {training} {seed}: {card['attacked']} images, {card['passes']['backward']:,} gradients")


if __name__ == "__main__":
    cli.run(main, __doc__)
