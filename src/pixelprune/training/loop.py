"""The training loop: data on the device, batches augmented as tensors, resumed after a kill at the last whole epoch."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from pixelprune import artifacts, global_state, parallel, runtime, sampling
from pixelprune.attacks.balls import LinfBall
from pixelprune.attacks.pgd import PGD
from pixelprune.draws import Draws
from pixelprune.errors import TrainingError
from pixelprune.fills.fill import FillOptions
from pixelprune.pruning import FrozenModel
from pixelprune.training import augment
from pixelprune.training.recipe import TrainingOptions, Validated

# A fall of robust validation accuracy by so much between epochs is catastrophic overfitting
# (Wong et al., "Fast is better than free", ICLR 2020, arXiv:2001.03994, section 5.4).
COLLAPSE = 0.2
VALIDATION_EPS = 8 / 255
CURVE = ("epoch", "learning_rate", "train_loss", "train_accuracy", "validation_clean", "validation_robust")


@dataclass(frozen=True)
class Images:
    """What to learn from or to validate on. images uint8 (N, 3, H, W), labels int64 (N,), masks bool (N, 1, H, W)."""

    images: Tensor
    labels: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Task:
    """All that decides the outcome of a training."""

    training: TrainingOptions
    train: Images
    validation: Images
    fill: FillOptions
    seed: int
    masks: Literal["stay", "move", "redrawn"]
    """Where an image is shifted: its mask stays where it is, or belongs to its content and moves along.

    redrawn: each time an image is seen, it gets the mask of any image.
    """
    bfloat16: bool


@dataclass
class Outcome:
    """Weights of the best and the last epoch, and one row of the curve an epoch."""

    best: dict[str, Tensor]
    last: dict[str, Tensor]
    curve: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    alarm: str | None = None


def train(network: nn.Module, task: Task, state: Path | None, each_epoch: Callable[[str], None]) -> Outcome:
    """Trains the network in place.

    network: on its device, weights drawn. state: folder for the checkpoint, or None. each_epoch: told a line an epoch.
    The outcome is a function of the network and the task alone: every draw comes from (seed, epoch).
    """
    training = task.training
    runtime.channels_last(network)
    optimizer = torch.optim.SGD(
        network.parameters(), training.learning_rate, momentum=0.9, nesterov=True, weight_decay=training.weight_decay
    )
    outcome = Outcome(best=_weights(network), last={})
    if state is not None:
        _resume(state, network, optimizer, outcome)
    first, start = len(outcome.curve) + 1, time.monotonic()
    for epoch in range(first, training.epochs + 1):
        row = _epoch(network, optimizer, task, epoch)
        if not math.isfinite(row["train_loss"]):
            raise TrainingError(
                f"training diverged: found a loss of {row['train_loss']} in epoch {epoch} of {training.epochs}. "
                f"Give a learning_rate below {training.learning_rate:g}."
            )
        row |= validate(network, task.validation, task.fill, training, task.seed)
        _judge(outcome, row, network, training)
        if state is not None and parallel.first():
            _checkpoint(state, network, optimizer, outcome)
        left = (time.monotonic() - start) / (epoch - first + 1) * (training.epochs - epoch)
        each_epoch(
            f"epoch {epoch}/{training.epochs}: loss {row['train_loss']:.3f}, validation {row['validation_clean']:.1%} "
            f"clean, {row['validation_robust']:.1%} robust, {left:.0f} s left"
        )
    outcome.last = _weights(network)
    network.load_state_dict(outcome.best)
    network.eval()
    return outcome


def learning_rate(step: float, steps: int, peak: float) -> float:
    """One cycle: linear from a tenth of the peak up in the first quarter, linear down to nothing in the rest."""
    warm = 0.25 * steps
    return peak * (0.1 + 0.9 * step / warm) if step < warm else peak * (steps - step) / (steps - warm)


def _epoch(network: nn.Module, optimizer: torch.optim.SGD, task: Task, epoch: int) -> dict[str, float]:
    """Layers that draw by themselves, as dropout does, know no generator: they draw from the state of the process."""
    device, words = task.train.images.device, (task.seed, "layers", epoch, parallel.rank())
    with global_state.seeded(sampling.torch_generator(*words).initial_seed() % 2**32, device):
        return _learned(network, optimizer, task, epoch)


def _learned(network: nn.Module, optimizer: torch.optim.SGD, task: Task, epoch: int) -> dict[str, float]:
    training, data = task.training, task.train
    device = data.images.device
    batch = min(training.batch, len(data))
    batches = len(data) // batch
    order = torch.randperm(len(data), generator=sampling.torch_generator(task.seed, "order", epoch))
    placing = sampling.torch_generator(task.seed, "augment", epoch)
    own_words = (parallel.rank(),) if parallel.rank() else ()
    noise = sampling.torch_generator(task.seed, "perturb", epoch, *own_words, device=device)
    total_loss, right = torch.zeros((), device=device), torch.zeros((), device=device)
    for number in range(batches):
        step = (epoch - 1) * batches + number
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, training.epochs * batches, training.learning_rate)
        chosen = order[number * batch : (number + 1) * batch].to(device)
        own = parallel.own_slice(len(chosen))
        images, labels, masks = (part[own] for part in _augmented(data, chosen, task, placing))
        with torch.autocast(device.type, torch.bfloat16, enabled=task.bfloat16):
            model = FrozenModel(network, masks, task.fill)
            network.train(training.perturbs_in == "train")
            perturbed = training.perturb(model, images, labels, masks, noise)
            network.train()
            loss, logits = training.loss(model, images, perturbed, labels)
        loss = loss * (len(labels) * parallel.count() / len(chosen))  # shares may differ by an image
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parallel.average(weight.grad for weight in network.parameters() if weight.grad is not None)
        optimizer.step()
        total_loss += loss.detach()
        right += (logits.argmax(1) == labels).sum()
    # Each process saw other images: what BatchNorm counted, and what is told of the epoch, is the mean over all.
    parallel.average([*(buffer for buffer in network.buffers() if buffer.is_floating_point()), total_loss, right])
    return {
        "epoch": epoch,
        "learning_rate": optimizer.param_groups[0]["lr"],
        "train_loss": total_loss.item() / batches,
        "train_accuracy": right.item() * parallel.count() / (batches * batch),
    }


def _augmented(data: Images, chosen: Tensor, task: Task, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    images, rows, columns = _moved(data.images[chosen], task.training, generator)
    redrawn = task.masks == "redrawn"
    masks = data.masks[torch.randint(len(data), chosen.shape, generator=generator) if redrawn else chosen]
    if task.masks == "move":
        masks = augment.gather(masks, rows, columns)
    return images.contiguous(memory_format=torch.channels_last), data.labels[chosen], masks


def augmented(images: Tensor, training: TrainingOptions, generator: torch.Generator) -> Tensor:
    """Images uint8 (N, 3, H, W) as the training sees them: float32 in [0, 1]."""
    return _moved(images, training, generator)[0]


def _moved(images: Tensor, training: TrainingOptions, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """And where each row and column of the new images comes from, as augment.positions says."""
    rows, columns = augment.positions(
        len(images), *images.shape[2:], shift=training.shift, flip=training.flip, generator=generator
    )
    rows, columns = rows.to(images.device), columns.to(images.device)
    moved = augment.gather(images, rows, columns).float() / 255
    if training.light:
        moved = augment.relight(moved, training.light, generator)
    return moved, rows, columns


def validate(network: nn.Module, data: Images, fill: FillOptions, training: Validated, seed: int) -> dict[str, float]:
    """Clean accuracy on all validation images, accuracy under a short PGD on the first of them; in float32."""
    network.eval()
    images = data.images.float() / 255
    with torch.no_grad():
        right = torch.cat([
            network(fill(images[i : i + 512], data.masks[i : i + 512])).argmax(1) == data.labels[i : i + 512]
            for i in range(0, len(data), 512)
        ])  # fmt: skip
    count = min(training.validation_images, len(data))
    few, labels, masks = images[:count], data.labels[:count], data.masks[:count]
    model = FrozenModel(network, masks, fill)
    attack = PGD(steps=training.validation_steps)
    draws = Draws.of(np.arange(count), seed, "validation", device=images.device)
    ball = LinfBall(eps=training.trained_eps or VALIDATION_EPS)
    found = attack(model, few, labels, ball=ball, mask=masks, draws=draws)
    with torch.no_grad():
        robust = model(found).argmax(1) == labels
    return {"validation_clean": right.float().mean().item(), "validation_robust": robust.float().mean().item()}


def _judge(outcome: Outcome, row: dict[str, float], network: nn.Module, training: TrainingOptions) -> None:
    """Adds the row; keeps the weights where they are the best so far; sounds the alarm at a collapse."""
    measure = f"validation_{training.select}"
    if training.trained_eps and outcome.curve:
        fall = max(before["validation_robust"] for before in outcome.curve) - row["validation_robust"]
        if fall > COLLAPSE and outcome.alarm is None:
            outcome.alarm = f"catastrophic overfitting: robust accuracy fell by {fall:.0%} at epoch {row['epoch']:.0f}"
    if not outcome.curve or row[measure] >= max(before[measure] for before in outcome.curve):
        outcome.best, outcome.best_epoch = _weights(network), int(row["epoch"])
    outcome.curve.append(row)


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone().contiguous() for name, value in network.state_dict().items()}


def _checkpoint(state: Path, network: nn.Module, optimizer: torch.optim.SGD, outcome: Outcome) -> None:
    # A weight that no image reaches has no gradient, and no momentum.
    kept = ((i, optimizer.state[p].get("momentum_buffer")) for i, p in enumerate(network.parameters()))
    momenta = {str(i): buffer for i, buffer in kept if buffer is not None}
    tensors = {f"now.{name}": value for name, value in _weights(network).items()}
    tensors |= {f"best.{name}": value for name, value in outcome.best.items()}
    tensors |= {f"momentum.{name}": value for name, value in momenta.items()}
    epoch = len(outcome.curve)
    artifacts.save_tensors(state / f"epoch_{epoch}.safetensors", tensors)
    # The JSON file makes the epoch count: it is written after the tensors that it names.
    progress = {"curve": outcome.curve, "best_epoch": outcome.best_epoch, "alarm": outcome.alarm}
    artifacts.save_json(state / "progress.json", progress)
    (state / f"epoch_{epoch - 1}.safetensors").unlink(missing_ok=True)


def _resume(state: Path, network: nn.Module, optimizer: torch.optim.SGD, outcome: Outcome) -> None:
    if not (state / "progress.json").exists():
        return
    progress = artifacts.load_json(state / "progress.json")
    tensors = artifacts.load_tensors(state / f"epoch_{len(progress['curve'])}.safetensors")
    own = {name: {k.removeprefix(name): v for k, v in tensors.items() if k.startswith(name)} for name in _PARTS}
    network.load_state_dict(own["now."])
    for index, parameter in enumerate(network.parameters()):
        if str(index) in own["momentum."]:
            buffer = torch.empty_like(parameter).copy_(own["momentum."][str(index)])
            optimizer.state[parameter]["momentum_buffer"] = buffer
    outcome.best = {name: value.to(next(network.parameters()).device) for name, value in own["best."].items()}
    outcome.curve, outcome.best_epoch, outcome.alarm = progress["curve"], progress["best_epoch"], progress["alarm"]


_PARTS = ("now.", "best.", "momentum.")
