"""attack_defended: attack one defended network by all that its declaration calls for, and check the attacks.

python stages/attack_defended.py TRAINING SEED DEFENSE
  reads   data/raw/, models/none/TRAINING/SEED/, defended/none/TRAINING/SEED/DEFENSE/
  writes  results_defended/none/TRAINING/SEED/DEFENSE/rows.parquet          one row an image x way of attack
          results_defended/none/TRAINING/SEED/DEFENSE/corruptions.parquet   one row an image x corruption x severity
          results_defended/none/TRAINING/SEED/DEFENSE/examples/             attacked images; what becomes of them
          results_defended/none/TRAINING/SEED/DEFENSE/compared.json         with the undefended network, paired
          results_defended/none/TRAINING/SEED/DEFENSE/{checks,card}.json
"""

from pathlib import Path

from pixelprune import artifacts, cli, closure, defending, params, runtime, sampling, selecting, stage, state
from pixelprune.attacks.fast import Fast
from pixelprune.attacks.threat import Threat
from pixelprune.corruptions.catalog import CORRUPTIONS
from pixelprune.datasets import split
from pixelprune.harness import defended
from pixelprune.harness.effort import Effort
from pixelprune.harness.job import batch_of


def main(training: str, seed: str, defense: str) -> None:
    runtime.prepare()
    device, run = runtime.device(), Path("none", training, seed)
    raw, model, folder = Path("data/raw"), Path("models") / run, Path("defended") / run / defense
    effort = params.load("defended", Effort)
    own = defending.load(folder, model, device)
    job = defended.Job(
        name=str(run / defense),
        network=own.network,
        defense=own.defense,
        learned=own.learned,
        threat=next(iter(params.load("threats", dict[str, Threat]).values())),
        attack=Fast(),
        effort=effort,
        corruptions={name: CORRUPTIONS[name] for name in effort.corruptions},
        seed=params.seed(seed),
    )
    test = split.load(raw, "test")
    batch = batch_of(test, sampling.attacked(test.labels, effort.images), device)
    inputs = [model / "model.safetensors", model / "card.json"]
    inputs += [folder / "learned.safetensors", folder / "card.json"]
    inputs += [raw / "test" / f"{name}.npy" for name in ("images", "labels", "ids")]
    networks = closure.digest(closure.closure(Path(selecting.__file__)))
    name = state.fingerprint(files=[state.file_digest(path) for path in inputs], networks=networks)
    out = Path("results_defended") / run / defense
    with stage.running(f"attack_defended@{training}-{seed}-{defense}", out), state.locked(name) as place:
        card = defended.evaluate(job, batch, out, place)
        artifacts.save_json(out / "card.json", card | {"facts": own.facts})
    print(f"attack_defended {training} {seed} {defense}: {len(card['ways'])} ways, {len(batch)} images")


if __name__ == "__main__":
    cli.run(main, __doc__)
