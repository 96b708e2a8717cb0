"""Puts one fault at a time into a copy of the sources and runs their tests against it: python tests/mutants.py

A fault that survives is a test that is missing; the exit status is then 1. One is expected to survive: with a mean in
place of the sum every image's gradient is scaled alike, and a step does not feel the scale in float32.
"""

# ruff: noqa: E501 - a fault is a line

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = {
    "attacks": ["oracles/test_linear_attacks.py", "oracles/test_attack_grid.py", "contracts/test_attacks.py"],
    "maps": ["oracles/test_maps.py"],
    "training": ["oracles/test_training.py"],
}  # fmt: skip
"""By family; a file without one is an attack's."""
HARMLESS = "mean instead of sum"
MUTANTS = [
    ("returns its input", "pgd.py", "return worst.points", "return images"),
    ("climbs downhill", "pgd.py", "points + step - images", "points - step - images"),
    ("no projection", "balls.py", "images + ball.project(delta)", "images + delta"),
    ("gradient not masked", "balls.py", "return (grad * mask)", "return grad"),
    ("start not masked", "balls.py", "- 1) * self.eps * mask", "- 1) * self.eps"),
    ("no clamp", "balls.py", "ball.project(delta)).clamp(0, 1)", "ball.project(delta))"),
    ("keeps the last restart", "worst.py", "margins > self.margins[index]", "margins > -1e9"),
    ("l2 projection over the batch", "balls.py", "radius / _length(delta)", "radius / delta.norm()"),
    ("l2 step is a sign step", "balls.py", "return grad / _length(grad).clamp(min=tiny)", "return grad.sign()"),
    ("twice the radius", "balls.py", "delta.clamp(-self.eps, self.eps)", "delta.clamp(-2 * self.eps, 2 * self.eps)"),
    ("margin ignores the label", "losses.py", "    return wrong - right", "    return wrong"),
    (HARMLESS, "estimators.py", "loss(logits, labels).sum()", "loss(logits, labels).mean()"),
    # Beyond the twelve: what keeping iterates, leaving images and masks of their own add.
    ("twice the l2 radius", "balls.py", "radius = max(self.eps -", "radius = 2 * max(self.eps -"),
    ("rounding leaves the l2 ball", "balls.py", "max(self.eps - 2**-25 * sqrt(delta[0].numel()), self.eps / 2)", "self.eps"),
    ("steps leave the range", "balls.py", ".masked_fill(blocked, 0)", ""),
    ("a corner not masked", "balls.py", "- 0.5).sign() * self.eps * mask", "- 0.5).sign() * self.eps"),
    ("forgets the path", "pgd.py", "stands = worst.see(index, points, margin(logits, labels))", "stands = margin(logits, labels) <= 0"),
    ("forgets the end of the path", "pgd.py", "            worst.see(index, points, margin(model(points), labels))", "            pass"),
    ("model not narrowed within a path", "pgd.py", "narrow(model, stands), index[stands]", "model, index[stands]"),
    ("model not narrowed at a restart", "pgd.py", "narrow(model, index), worst", "model, worst"),
    ("starts depend on who is left", "pgd.py", "start = ball.sample(mask, images.shape[1], generator)", "start = images * 0; start[worst.standing] = ball.sample(mask[worst.standing], images.shape[1], generator)"),
    ("attacks clean errors", "worst.py", "(self.margins <= 0) & mask.flatten(1).any(1)", "mask.flatten(1).any(1)"),
    ("nobody leaves", "worst.py", "return self.margins[index] <= SURE", "return self.margins[index] <= torch.inf"),
    ("cross-entropy saturates", "losses.py", '"log_odds": log_odds', '"log_odds": cross_entropy'),
    # Maps of many gradients.
    ("variance around zero", "maps/vargrad.py", "(away - mean).square()", "away.square()"),
    ("blocks of a variance are only added", "maps/vargrad.py", " + (other - mean).square() * count * more / (count + more)", ""),
    ("mean of blocks not weighted", "maps/vargrad.py", "(other - mean) * more / (count + more)", "(other - mean) / 2"),
    ("variance of large squares", "maps/vargrad.py", "found - found[:, :1].detach()", "found + 0"),
    ("left end of each step", "maps/integrated_gradients.py", "+ 0.5) / self.steps", ") / self.steps"),
    ("way from black whatever the baseline", "maps/integrated_gradients.py", "(images - self.baseline) * mean", "images * mean"),
    ("path not through the baseline", "maps/integrated_gradients.py", "points = self.baseline + share", "points = share"),
    ("noise of one image for all", "maps/noisy.py", "own[:, None] ^ nth", "own[:1, None].expand(len(own), 1) ^ nth"),
    ("one copy for all numbers", "maps/noisy.py", "own[:, None] ^ nth", "own[:, None] ^ nth[:1].expand(len(nth))"),
    ("half of the noise repeated", "maps/noisy.py", "radius * angle.sin()", "radius * angle.cos()"),
    ("class of the quick network", "maps/many_gradients.py", "model, parts = source.classifier()", "model, parts = source.quick or source.classifier()"),
    ("chunks of any shape", "maps/many_gradients.py", "else start + height", "else min(start + height, len(images))"),
    ("all samples at once", "maps/many_gradients.py", "points = min(count, room)", "points = count; room = max(room, count)"),
    ("graph of all samples kept", "maps/many_gradients.py", "    if _differentiated(rows.images):", "    if False:"),
    # TRADES.
    ("divergence the other way round", "training/trades.py", "(log_p.exp() * (log_p - log_q))", "(log_q.exp() * (log_q - log_p))"),
    ("clean part on perturbed images", "training/trades.py", "cross_entropy(clean, labels)", "cross_entropy(logits, labels)"),
    ("no beta", "training/trades.py", "+ self.beta * divergence", "+ divergence"),
    ("search step not masked", "training/trades.py", "ball.steepest(grad * mask)", "ball.steepest(grad)"),
    ("search start not masked", "training/trades.py", "normal(*images.shape[1:]) * mask", "normal(*images.shape[1:])"),
    ("search downhill", "training/trades.py", "adversarial.detach() + self.step", "adversarial.detach() - self.step"),
    ("search in train mode", "training/trades.py", '= "eval"', '= "train"'),
    ("alarm at any fall", "training/loop.py", "fall > COLLAPSE", "fall > 0"),
    ("alarm from the first epoch", "training/loop.py", "max(before[\"validation_robust\"] for before in outcome.curve)", "outcome.curve[0][\"validation_robust\"]"),
    ("copies are not counted", "narrowing.py", "self.budget.forward[self.rows] += copies", "self.budget.forward[self.rows] += 1"),
]  # fmt: skip


def survives(name: str, file: str, right: str, wrong: str) -> bool:
    """Whether the tests pass with this fault."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "src"
        shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        family, _, member = file.rpartition("/")
        path = copy / "pixelprune" / (family or "attacks") / member
        source = path.read_text()
        assert right in source, f"{name}: the line to change is gone from {file}"
        path.write_text(source.replace(right, wrong))
        environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        command += [f"tests/{test}" for test in TESTS[family or "attacks"]]
        run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if run.returncode not in (0, 1):
            raise RuntimeError(f"{name}: pytest could not run\n{run.stdout}{run.stderr}")
        return run.returncode == 0


def main() -> int:
    start = time.monotonic()
    missed = []
    if survives("no fault", "pgd.py", "worst.points", "worst.points"):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for mutant, alive in zip(MUTANTS, pool.map(lambda mutant: survives(*mutant), MUTANTS), strict=True):
                expected = mutant[0] == HARMLESS
                print(f"{'survived' if alive else 'killed':9}{mutant[0]}{' (expected)' if alive and expected else ''}")
                missed += [mutant[0]] if alive and not expected else []
    else:
        missed = ["the tests fail without a fault"]
    print(f"{len(MUTANTS)} faults in {time.monotonic() - start:.0f} s; to look at: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
