"""Puts one fault at a time into a copy of the sources and runs their tests against it.

python tests/mutants.py [FILE ...]    the faults of these files, e.g. ascent.py; all where left out

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
    "attacks": [
        "house/test_draws.py", "oracles/test_together.py", "oracles/test_quick.py", "oracles/test_autoattack.py",
        "oracles/test_plane.py", "oracles/test_replayed.py",
        "oracles/test_ascent.py", "oracles/test_minimal.py", "oracles/test_ensembles.py",
        "oracles/test_linear_attacks.py", "oracles/test_attack_grid.py", "contracts/test_attacks.py",
        "oracles/test_by_chance.py",
    ],
    "maps": ["oracles/test_maps.py"],
    "training": ["oracles/test_training.py"],
    "defenses": [
        "oracles/test_rain.py", "oracles/test_reversal.py", "oracles/test_posteriors.py", "oracles/test_taylor.py",
        "oracles/test_planted_defenses.py",
    ],
    "measures": ["oracles/test_measures.py", "oracles/test_fourier.py", "oracles/test_low_pass.py", "contracts/test_measures.py"],
    "evaluation": [
        "oracles/test_massart.py", "oracles/test_uncertainty.py", "oracles/test_mce.py", "oracles/test_intervals.py",
        "oracles/test_decomposition.py",
    ],
    "harness": ["oracles/test_behind.py", "oracles/test_defended.py"],
}  # fmt: skip
"""By family; a file without one is an attack's."""
FIRST = {
    "../draws.py": "house/test_draws.py", "plane.py": "oracles/test_plane.py", "replayed.py": "oracles/test_replayed.py",
    "apgd.py": "oracles/test_ascent.py", "ascent.py": "oracles/test_ascent.py",
    "estimators.py": "oracles/test_ascent.py", "minimal.py": "oracles/test_minimal.py",
    "max.py": "oracles/test_ensembles.py", "fast.py": "oracles/test_ensembles.py",
    "targets.py": "oracles/test_ensembles.py", "square.py": "oracles/test_together.py",
    "squares.py": "oracles/test_autoattack.py", "apgd_targeted.py": "oracles/test_ensembles.py",
    "in_turn.py": "oracles/test_ensembles.py", "worst.py": "oracles/test_together.py",
    "narrowing.py": "oracles/test_together.py", "twin.py": "oracles/test_quick.py",
    "fresh.py": "oracles/test_by_chance.py", "believed.py": "oracles/test_by_chance.py",
    "mean.py": "oracles/test_by_chance.py",
    "stochastic/patient.py": "oracles/test_behind.py", "stochastic/firm.py": "oracles/test_behind.py",
    "stochastic/demanding.py": "oracles/test_behind.py", "stochastic/confident.py": "oracles/test_confident.py",
    "defenses/rain.py": "oracles/test_rain.py", "defenses/reversal.py": "oracles/test_reversal.py",
    "defenses/contrast.py": "oracles/test_reversal.py", "defenses/laplace.py": "oracles/test_posteriors.py",
    "defenses/dropout.py": "oracles/test_posteriors.py", "defenses/gates.py": "oracles/test_taylor.py",
    "defenses/taylor.py": "oracles/test_taylor.py", "measures/divergence.py": "oracles/test_measures.py",
    "measures/temperature.py": "oracles/test_measures.py", "evaluation/massart.py": "oracles/test_massart.py",
    "evaluation/uncertainty.py": "oracles/test_uncertainty.py", "evaluation/mce.py": "oracles/test_mce.py",
    "harness/behind.py": "oracles/test_behind.py", "harness/compared.py": "oracles/test_defended.py",
    "harness/ways.py": "oracles/test_defended.py", "harness/ladder.py": "oracles/test_by_chance.py",
}  # fmt: skip
"""Where most faults of a file are noticed soonest."""
HARMLESS = "mean instead of sum"
MUTANTS = [
    ("a draw is used again", "fresh.py", "self.calls.index_add_(0, self.rows, torch.ones_like(self.rows))", "pass"),
    ("an image that stands twice gets one draw", "fresh.py", "self.calls[self.rows] + earlier(self.rows)", "self.calls[self.rows]"),
    ("narrowed draws count on their own", "fresh.py", "self.draws.narrow(index), self.calls,", "self.draws.narrow(index), self.calls.clone(),"),
    ("believes what was attacked", "believed.py", "margin(narrow(self.judge, index)(points)", "margin(narrow(model, index)(points)"),
    ("asks the judge about the clean image alone", "believed.py", "Worst(self.judge,", "Worst(model,"),
    ("one attempt", "believed.py", "range(self.times)", "range(1)"),
    ("a mean of logarithms", "mean.py", "torch.logsumexp(self.each(images), 0) - log(self.draws)", "self.each(images).mean(0)"),
    ("the gradient of the first draw", "mean.py", "total += own", "total = own"),
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
    ("a corner not masked", "balls.py", "draws.signs(channels, *mask.shape[2:]) * self.eps * mask", "draws.signs(channels, *mask.shape[2:]) * self.eps"),
    ("forgets the path", "pgd.py", "stands = worst.see(index, points, margin(logits, labels))", "stands = margin(logits, labels) <= 0"),
    ("forgets the end of the path", "pgd.py", "            worst.see(index, points, margin(model(points), labels))", "            pass"),
    ("model not narrowed within a path", "pgd.py", "narrow(model, stands), draws.narrow(stands)", "model, draws.narrow(stands)"),
    ("model not narrowed at a restart", "pgd.py", "narrow(model, index), worst", "model, worst"),
    ("starts depend on who is left", "pgd.py", "own = draws.branch(restart).narrow(index)", "own = Draws(draws.branch(restart).seeds[: len(index)])"),
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
    ("copies are not counted", "narrowing.py", "copies * self.cost", "self.cost"),
    ("an image that stands there twice is counted once", "narrowing.py", "self.budget.forward.index_add_(0, self.rows, passes)", "self.budget.forward[self.rows] += passes"),
    ("any point of an image that stands there twice", "worst.py", "(margins == best[index]) & ", ""),
    # The parts of AutoAttack and the ensembles.
    ("restarts start alike", "apgd.py", "draws.branch(restart)", "draws.branch(0)"),
    ("restarts of everybody", "apgd.py", "index = worst.standing", "index = torch.arange(len(images))"),
    ("ignores its loss", "apgd.py", "LOSSES[self.loss]", "LOSSES['cross_entropy']"),
    ("aims at one target only", "targets.py", "for rank in range(first, last)]", "for rank in range(1)]"),
    ("aims at the first target again and again", "targets.py", "targets[:, rank]", "targets[:, 0]"),
    ("momentum forgotten", "ascent.py", "MOMENTUM = 0.75", "MOMENTUM = 1.0"),
    ("momentum in the first step", "ascent.py", "        if step:\n            straight =", "        if True:\n            straight ="),
    ("never halves", "ascent.py", "length / 2, length)", "length, length)"),
    ("halves always", "ascent.py", "stuck = ~enough |", "stuck = enough | ~enough |"),
    ("halves for oscillation only", "ascent.py", " | (~halved & (best <= best_at_check))", ""),
    ("goes on from where it is", "ascent.py", "points, grad = torch.where(wide, best_points, points), torch.where(wide, best_grad, grad)", "pass"),
    ("the gradient of another point", "ascent.py", "torch.where(wide, best_grad, grad)\n            halved", "grad\n            halved"),
    ("starts at the image", "ascent.py", "start = inside(party.images, ball.sample(party.mask, channels, party.draws), ball)", "start = party.images"),
    ("the first step is eps", "ascent.py", "FIRST_LENGTH = 2.0", "FIRST_LENGTH = 1.0"),
    ("the last point not seen", "ascent.py", "                worst.see(party.index, points, margin(party.model(points), party.labels))", "                party.model(points)"),
    ("the mask not narrowed", "ascent.py", "self.labels[index], self.mask[index]", "self.labels[index], self.mask[: len(self.index[index])]"),
    ("the draws not narrowed", "ascent.py", "self.draws.narrow(index),", "Draws(self.draws.seeds[: len(self.index[index])]),"),
    ("the loss not narrowed", "ascent.py", "narrow(self.loss, index)", "self.loss"),
    ("checkpoints too late", "ascent.py", "period - shorter", "period"),
    ("aims at the right class", "targets.py", "labels[:, None], -torch.inf)", "labels[:, None], torch.inf)"),
    ("the least likely first", "targets.py", "wrong.topk(min(count, logits.shape[1] - 1))", "wrong.topk(min(count, logits.shape[1] - 1), largest=False)"),
    ("the farthest target first", "targets.py", ".argsort(stable=True, dim=1)", ".argsort(stable=True, dim=1, descending=True)"),
    ("distance over closed pixels too", "targets.py", "dual_length(grad * mask, ball)", "dual_length(grad, ball)"),
    ("the gap is the distance", "targets.py", "-loss(logits, labels) / dual_length(grad * mask, ball).clamp(min=TINY)", "-loss(logits, labels)"),
    ("the norm itself for the dual one", "balls.py", "return (grad * ball.steepest(grad)).sum((1, 2, 3))", "return ball.length(grad)"),
    ("rays stop at the finest", "rays.py", "        parts = torch.minimum(2 * parts, most)", "        if (parts == most).all():\n            return\n        parts = torch.minimum(2 * parts, most)"),
    ("a copy judges an ensemble", "in_turn.py", "exactly(part)(points)", "part(points)"),
    ("the copy's boundary is the model's", "fab.py", "reach=ball.eps * (1 + beyond)", "reach=ball.eps * (1 + 0 * beyond)"),
    ("a loss that is no number stays the best", "ascent.py", "best = torch.where(better, now, best)", "best = torch.maximum(best, now)"),
    ("no overshoot", "fab.py", "OVERSHOOT = 1.05", "OVERSHOOT = 0.9"),
    ("planes over closed pixels", "fab.py", "grad * party.mask", "grad"),
    ("takes points out of the ball", "fab.py", "ball.length(delta) <= reach[party.index]", "ball.length(delta) <= 1e4 * reach[party.index]"),
    ("one step short", "fab.py", "for _ in range(self.steps):", "for _ in range(self.steps - 1):"),
    ("leaves the range", "plane.py", "torch.minimum(reach, room)", "reach"),
    ("the wrong side of the plane", "plane.py", "weight.sign() * rise.sign()", "weight.sign() * -rise.sign()"),
    ("forgets who met the border", "plane.py", "before, free = free, time[:, None] * flat_pace < flat_room", "before, free = free, flat_room > -1"),
    ("keeps the last square", "square.py", "better = found > margins", "better = found > -1e9"),
    ("leaves it at what the copy says", "twin.py", "margins.abs() < error(model)", "margins.abs() < -error(model)"),
    ("believes the copy", "square.py", "found[asked] = margin(narrow(model, asked)(points[asked]), labels[asked])", "found[asked] = seen[asked]"),
    ("asks the model each time", "square.py", "asked = seen > rough_margins", "asked = seen > -1e9"),
    ("compares the copy with the model", "square.py", "torch.where(better, seen, rough_margins)", "torch.where(better, found, rough_margins)"),
    ("squares do not shrink", "square.py", "at > halving for halving", "at < 0 for halving"),
    ("squares of one place", "squares.py", "row, column = self.places(sides)\n", "row, column = 0 * sides, 0 * sides\n"),
    ("windows anywhere", "squares.py", "rank = (which * self.area)", "rank = (0 * self.area)"),
    ("stripes over closed pixels", "squares.py", "expand(-1, -1, self.mask.shape[2], -1) * self.mask", "expand(-1, -1, self.mask.shape[2], -1)"),
    ("length is not taken elsewhere", "squares.py", "_square(delta * (window | given), dims=(2, 3))", "_square(delta * window, dims=(2, 3))"),
    ("the first attack only", "in_turn.py", "in enumerate(attacks)", "in enumerate(list(attacks)[:1])"),
    ("keeps the last attack's point", "in_turn.py", "worst.see(index, points, margin(exactly(part)(points), labels[index]))", "worst.points[index] = points"),
    ("the streams of others", "in_turn.py", "draws=draws.narrow(index)", "draws=Draws(draws.seeds[: len(index)])"),
    ("no FAB", "autoattack.py", "FAB(steps=self.steps), Square", "Square"),
    ("no square attack", "autoattack.py", ", Square(queries=self.queries)", ""),
    ("rand follows one draw", "autoattack.py", "MeanOfDraws(estimator, DRAWS)", "MeanOfDraws(estimator, 1)"),
    ("the likeliest class first", "fast.py", "targets[index] = nearest(", "_ = nearest("),
    ("the budget is shared", "fast.py", "return index[-worst.margins[index] <= times * (worst.margins - clean)[index]]", "return index[worst.margins[index] >= worst.margins[index].median()]"),
    ("no long runs", "fast.py", "lead(1 + self.targets,", "(lambda *_: 0)(1,"),
    ("no short runs", "fast.py", "lead(1, self.within,", "(lambda *_: 0)(1,"),
    ("all classes for all", "fast.py", "within / (1 + rank)", "within"),
    ("AutoAttack is left out", "max.py", "self.autoattack(model, images, labels, **options, diary=diary)", "images"),
    ("fast is left out", "max.py", "remembered(diary, parts, images, partial(Fast(), model, images, labels, **options))", "images"),
    ("other streams for AutoAttack", "max.py", "labels, **options, diary=diary", "labels, **{**options, 'draws': draws.branch(9)}, diary=diary"),
    ("gives up after both", "max.py", "        if len(index):", "        if False:"),
    ("not drawn into the ball", "replayed.py", "inside(images[index], (self.points[index] - images[index]) * mask[index], ball)", "self.points[index]"),
    ("not drawn into the mask", "replayed.py", " * mask[index], ball)", ", ball)"),
    ("the points of others", "replayed.py", "points=self.points[index]", "points=self.points[: len(index)]"),
    ("the mean is a sum", "estimators.py", "return grad / self.draws, logits / self.draws", "return grad, logits"),
    ("one draw too many", "estimators.py", "for _ in range(self.draws - 1)", "for _ in range(self.draws)"),
    ("the copy decides", "twin.py", "if not near.any():", "if True:"),
    ("what the copy gets wrong is done with", "twin.py", "points[stand]), labels[stand]) > 0]", "points[stand]), labels[stand]) > torch.inf]"),
    ("a bump of the largest window", "squares.py", "sums[half + 1]", "sums[half.max() + 1]"),
    ("a bump from the outside in", "squares.py", "sums[half + 1] - sums[away.clamp(max=max(height, width))]", "sums[away + 1]"),
    ("bumps that are never turned", "squares.py", "turned = self.draws.signs() > 0", "turned = self.draws.signs() > 9"),
    ("a bump that outweighs its old window", "squares.py", "shape, old = (_unit(part, dims=(2, 3))", "shape, old = (part / _square(part).sqrt().clamp(min=TINY)"),
    ("all that is spare for every color", "squares.py", "spare / self.channels", "spare"),
    ("content with a lucky mean", "stochastic/firm.py", "return CLEARLY * sqrt(50 / draws)", "return 0.0"),
    ("streams start again when narrowed", "../draws.py", "part._taken = self._taken", "part._taken = 0"),
    ("a call repeats the last one", "../draws.py", "self._taken += 1", "pass"),
    ("branches are alike", "../draws.py", "(numbers + 1) * GOLDEN", "(numbers // 99 + 1) * GOLDEN"),
    ("the batch decides", "../draws.py", "torch.tensor(np.asarray(ids, np.int64), device=device)", "torch.arange(len(ids))"),
    ("never tries smaller", "minimal.py", "(broke - stood > 1)", "(broke - stood > cells)"),
    ("no warm start", "minimal.py", "(Replayed(points[index]), draws.narrow(index)),", ""),
    ("the larger half", "minimal.py", "broke[index[fell]] = cell", "broke[index[fell]] = cell + 1"),
    ("a point of the wrong radius", "minimal.py", "points[index[kept]] = found[kept]", "points[index] = found"),
    ("steps too short to cross the ball", "stochastic/patient.py", "max(self.relative_step, 2.5 / self.steps)", "self.relative_step"),
    ("one draw for all steps", "stochastic/patient.py", "Worst(self.judge, images", "Worst(model, images"),
    ("content with a narrow miss", "stochastic/firm.py", "torch.full_like(logits[:, :1], self.by)", "torch.zeros_like(logits[:, :1])"),
    ("demands nothing", "stochastic/demanding.py", "self.attack(self.demand(model, labels, self.by), images", "self.attack(model, images"),
    ("odds against all classes", "stochastic/confident.py", "logits[:, None, :].masked_fill(own, -torch.inf)", "logits[:, None, :].expand(-1, logits.shape[1], -1)"),
    ("content with half as sure", "stochastic/confident.py", "log(self.sure / (1 - self.sure))", "log(self.sure / (1 - self.sure)) / 2"),
    ("never shifted as far as allowed", "defenses/rain.py", "(2 * reach + 1)).long() - reach", "(2 * reach)).long() - reach"),
    ("channels keep the same pixel", "defenses/rain.py", "draws.uniform(channels, height // WINDOW, width // WINDOW)", "draws.uniform(1, height // WINDOW, width // WINDOW).expand(-1, channels, -1, -1)"),
    ("climbs the contrast", "defenses/reversal.py", "usable(-grad, points", "usable(grad, points"),
    ("unrolls nothing", "defenses/reversal.py", "max(self.steps - UNROLLED, 0)", "self.steps"),
    ("the same views at every step", "defenses/reversal.py", "self._lowered(contrast, still, points, draws.branch(number + 1), ball)", "self._lowered(contrast, still, points, draws.branch(1), ball)"),
    ("a view is its own partner", "defenses/contrast.py", ".masked_fill(itself, -torch.inf)", ""),
    ("partners are strangers", "defenses/contrast.py", "torch.cat([first + images, first.repeat(views - 1)])", "torch.cat([first.roll(1) + images, first.repeat(views - 1)])"),
    ("classes without each other", "defenses/laplace.py", " - probabilities[:, :, None] * probabilities[:, None, :]", ""),
    ("the prior's precision alone", "defenses/laplace.py", "return (values + precision) ** -0.5", "return (0 * values + precision) ** -0.5"),
    ("dropout lowers the mean", "defenses/dropout.py", "(kept / (1 - self.rate))", "kept"),
    ("places drop by themselves", "defenses/dropout.py", "draws.uniform(features.shape[1], *[1] * (features.dim() - 2))", "draws.uniform(*features.shape[1:])"),
    ("no curvature", "defenses/gates.py", "(weight * slope.square()).mean(0) / 2", "0 * slope.mean(0)"),
    ("the oracle keeps the filter alone", "defenses/gates.py", "1 - torch.eye(group.size", "torch.eye(group.size"),
    ("agrees with another order", "defenses/taylor.py", "scores = importance(network, groups, few, own, order=order", "scores = importance(network, groups, few, own, order=2"),
    ("the divergence the other way", "measures/divergence.py", "(self.clean.exp() * (self.clean - now))", "(now.exp() * (now - self.clean))"),
    ("starts on one side alone", "measures/divergence.py", " * (-1) ** restart", ""),
    ("not divided by the temperature", "measures/divergence.py", "logits.double() / temperature", "logits.double()"),
    ("the temperature upside down", "measures/temperature.py", "spread / (low * high) ** 0.5", "spread * (low * high) ** 0.5"),
    ("stops at the first interval", "evaluation/massart.py", "tried >= needed(", "tried >= 0.5 * needed("),
    ("always asks for Chernoff's", "evaluation/massart.py", "if high < 0.5:", "if high < 0:"),
    ("doubt of the draws themselves", "evaluation/uncertainty.py", "predictive_entropy(each) - expected_entropy(each)", "expected_entropy(each)"),
    ("ties count in full", "evaluation/uncertainty.py", "below.cumsum(1) - below / 2", "below.cumsum(1)"),
    ("what is held out counts", "evaluation/mce.py", " and name not in held_out]", "]"),
    ("hardening alone decides", "evaluation/decomposition.py", "self.both_right.low > 0", "self.both_right.low > -2"),
    ("right by one network", "evaluation/decomposition.py", '(stands["clean_full"] & stands["clean_kept"])', 'stands["clean_kept"]'),
    ("clean errors count", "evaluation/mce.py", 'table["severity"] > 0]', 'table["severity"] > -1]'),
    ("companions are not those of the group", "harness/behind.py", "start = group * self.size", "start = 0"),
    ("a known draw is drawn anew", "harness/behind.py", "self.drawn(images, Draws(self.draws.seeds))", "self.drawn(images, self.draws)"),
    ("a worst case of fewer ways", "harness/compared.py", "seen.isin(right.index).all()]", "len(right) == count]"),
    ("a posterior is not asked for its doubt", "harness/ways.py", "    if defense.posterior:", "    if False:"),
    ("a single draw decides as the mean of fifty", "stochastic/firm.py", "CLEARLY * sqrt(50 / draws)", "CLEARLY"),
    ("a lucky clean image stays", "harness/ladder.py", "clean[1].masked_fill(clean[1] <= 0, -torch.inf)", "clean[1]"),
    ("code that is wrapped is not named", "harness/ladder.py", ", *_files(attack)", ""),
    ("groups are cut", "harness/ladder.py", "max(size // group, 1) * group", "max(size, 1)"),
    ("a clean image that is lucky before the judge", "believed.py", "worst.margins[worst.standing] = -torch.inf", "pass"),
]  # fmt: skip


def place(file: str) -> Path:
    """Where the file of a fault lies below `src`."""
    family = file.partition("/")[0]
    return Path("pixelprune", file if family in TESTS else f"attacks/{file}")


def survives(name: str, file: str, right: str, wrong: str) -> bool:
    """Whether the tests pass with this fault."""
    family = file.partition("/")[0] if file.partition("/")[0] in TESTS else "attacks"
    tests = [*([FIRST[file]] if file in FIRST else []), *TESTS[family]]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "src"
        shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        path = copy / place(file)
        source = path.read_text()
        path.write_text(source.replace(right, wrong))
        environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        command += [f"tests/{test}" for test in tests]
        run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if run.returncode not in (0, 1):
            raise RuntimeError(f"{name}: pytest could not run\n{run.stdout}{run.stderr}")
        return run.returncode == 0


def main(files: list[str]) -> int:
    start = time.monotonic()
    missed = []
    mutants = [mutant for mutant in MUTANTS if not files or mutant[1] in files]
    if survives("no fault", "pgd.py", "worst.points", "worst.points"):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for mutant, alive in zip(mutants, pool.map(lambda mutant: survives(*mutant), mutants), strict=True):
                expected = mutant[0] == HARMLESS
                print(
                    f"{'survived' if alive else 'killed':9}{mutant[0]}{' (expected)' if alive and expected else ''}",
                    flush=True,
                )
                missed += [mutant[0]] if alive and not expected else []
    else:
        missed = ["the tests fail without a fault"]
    print(f"{len(mutants)} faults in {time.monotonic() - start:.0f} s; to look at: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
