"""Filters that matter least to the loss are removed, and the smaller network is fine-tuned on what it was trained on.

Source: Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019, section 3, arXiv:1906.10771.
Ours may score filters by the loss on adversarial images, as Sehwag et al., "HYDRA: Pruning Adversarially Robust Neural
Networks", NeurIPS 2020, arXiv:2002.10509, lets the robust loss choose connections. It scores anew in each round instead
of averaging over rounds.
"""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from pixelprune import runtime
from pixelprune.attacks.balls import LinfBall
from pixelprune.attacks.mean import Drawn
from pixelprune.attacks.pgd import PGD
from pixelprune.defenses.defense import DefenseOptions, Gradient, Lesson
from pixelprune.defenses.filters import Group, coupled, left, removed, staying
from pixelprune.defenses.gates import agreement, importance, oracle
from pixelprune.defenses.reshaped import reshaped
from pixelprune.draws import Draws
from pixelprune.errors import TrainingError
from pixelprune.models.network import multiply_adds
from pixelprune.options import LinfDistance

WEIGHTS, OUTPUTS = "weights.", "outputs."
"""What names of learned tensors begin with: the smaller network's state; which outputs of a layer are left, int64."""
AGREEMENT = "agreement."
"""Before the names of correlations with leaving out each filter of the whole network."""
MOMENTUM = 0.9


class Taylor(DefenseOptions):
    name: Literal["taylor"]
    flops: float = Field(0.4, gt=0, lt=1, description="Share of the multiply-adds to remove.")
    order: Literal[1, 2] = Field(1, description="Of the Taylor expansion of the loss in each filter.")
    criterion: Literal["natural", "adversarial"] = Field(
        "natural",
        description="Images whose loss counts: clean, or perturbed as in training; by PGD after a natural one.",
    )
    rounds: int = Field(4, ge=1, description="Times to score and to remove, each an equal share.")
    images: int = Field(1024, ge=1, description="Training images of the scores of a round.")
    oracle_images: int = Field(
        0,
        ge=0,
        description="Of these, on how many the scores of either order are compared with leaving out each filter.",
    )
    batch: int = Field(64, ge=2, description="Images of one step; the squares of the scores are averaged over batches.")
    between: int = Field(30, ge=0, description="Steps of fine-tuning after each round but the last.")
    epochs: int = Field(4, ge=0, description="Passes over the training images after the last round.")
    learning_rate: float = Field(0.02, gt=0, description="Of SGD at the start of each fine-tuning; falls to nothing.")
    weight_decay: float = Field(5e-4, ge=0, description="L2 penalty of all weights.")
    eps: LinfDistance = Field(8 / 255, description="Radius of the PGD of the scores after a natural training, linf.")
    steps: int = Field(10, ge=1, description="Steps of that PGD.")

    def learn(self, network: nn.Module, lesson: Lesson) -> dict[str, Tensor]:
        """The smaller network's weights, and which filters of each layer are left.

        Raises TrainingError where so many multiply-adds cannot be removed, or fine-tuning diverges.
        """
        height, width = lesson.images.shape[2:]
        device = lesson.images.device
        noise = torch.Generator(device).manual_seed(int(Draws.seeded(1, lesson.generator).seeds))
        whole = multiply_adds(network, height, width)
        outputs: dict[str, Tensor] = {}
        agreed: dict[str, Tensor] = {}
        for number in range(1, self.rounds + 1):
            groups = coupled(network, height, width)
            if not groups:
                raise TrainingError("taylor: no filter of this network can be removed.")
            images, labels = self.examples(network, lesson, noise)
            if number == 1 and self.oracle_images:
                agreed = self._agreement(network, groups, images, labels)
            scores = importance(network, groups, images, labels, order=self.order, batch=self.batch)
            budget = whole * (1 - self.flops * number / self.rounds)
            stay = staying(network, groups, scores, height, width, budget)
            for layer, own in left(network, groups, stay).items():
                outputs[layer] = outputs[layer][own] if layer in outputs else own
            network = removed(network, groups, stay, height, width)
            share = multiply_adds(network, height, width) / whole
            lesson.tell(f"round {number}/{self.rounds}: {share:.1%} of the multiply-adds are left")
            self._tune(network, lesson, noise, self.between if number < self.rounds else None)
        weights = {WEIGHTS + name: value.detach().clone().contiguous() for name, value in network.state_dict().items()}
        return weights | {OUTPUTS + layer: own.to(device) for layer, own in outputs.items()} | agreed

    def around(self, network: nn.Module, learned: dict[str, Tensor], gradient: Gradient = "identity") -> Drawn:
        small = cut(network, learned)
        return lambda images, draws: small(images)

    def facts(self, network: nn.Module, learned: dict[str, Tensor], height: int, width: int) -> dict[str, float]:
        found: dict[str, float] = {}
        for when, one in (("before", network), ("after", cut(network, learned))):
            found[f"multiply-adds {when}"] = multiply_adds(one, height, width)
            found[f"parameters {when}"] = sum(weight.numel() for weight in one.parameters())
        agreements = {name: value.item() for name, value in learned.items() if name.startswith(AGREEMENT)}
        # Scores that underflow are all alike, and agree with nothing.
        return found | {
            name.removeprefix(AGREEMENT): value for name, value in agreements.items() if math.isfinite(value)
        }

    def _agreement(self, network: nn.Module, groups: list[Group], images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Correlation of the scores of both orders with the oracle, on the same images."""
        few, own = images[: self.oracle_images], labels[: self.oracle_images]
        truth = oracle(network, groups, few, own, batch=self.batch)
        found: dict[str, Tensor] = {}
        for order in (1, 2):
            scores = importance(network, groups, few, own, order=order, batch=self.batch)
            for kind, value in agreement(scores, truth)._asdict().items():
                found[f"{AGREEMENT}{kind} of order {order} with leaving out"] = torch.tensor(value)
        return found

    def examples(self, network: nn.Module, lesson: Lesson, noise: torch.Generator) -> tuple[Tensor, Tensor]:
        """What the scores of a round are of: float32 (N, 3, H, W) in [0, 1] and labels int64 (N,).

        noise: lies where the images do. Images that the training leaves as they are, an adversarial criterion attacks.
        """
        order = torch.randperm(len(lesson.images), generator=lesson.generator)
        chosen = order[: self.images].to(lesson.images.device)
        images, labels = lesson.images[chosen].float() / 255, lesson.labels[chosen]
        if self.criterion == "natural":
            return images, labels
        parts = zip(images.split(self.batch), labels.split(self.batch))
        return torch.cat([self._adversarial(network, part, own, lesson, noise) for part, own in parts]), labels

    def _adversarial(
        self, network: nn.Module, images: Tensor, labels: Tensor, lesson: Lesson, noise: torch.Generator
    ) -> Tensor:
        perturbed = lesson.perturb(network, images, labels, noise)
        if not torch.equal(perturbed, images):
            return perturbed
        everywhere = torch.ones_like(images[:, :1], dtype=torch.bool)
        return PGD(steps=self.steps)(
            network, images, labels, ball=LinfBall(eps=self.eps), mask=everywhere,
            draws=Draws.seeded(len(images), noise),
        )  # fmt: skip

    def _tune(self, network: nn.Module, lesson: Lesson, noise: torch.Generator, steps: int | None) -> None:
        """Trains the network in place, for so many steps or, with None, all epochs; in eval mode after it.

        It is in eval mode too while images are perturbed, whatever its training did.
        """
        batch = min(self.batch, len(lesson.images))
        each = len(lesson.images) // batch
        steps = self.epochs * each if steps is None else steps
        runtime.channels_last(network)
        optimizer = torch.optim.SGD(
            network.parameters(), self.learning_rate, MOMENTUM, nesterov=True, weight_decay=self.weight_decay
        )
        total = torch.zeros((), device=lesson.images.device)
        order = torch.empty(0, dtype=torch.int64)
        for step in range(steps):
            if step % each == 0:
                order = torch.randperm(len(lesson.images), generator=lesson.generator)
            chosen = order[step % each * batch :][:batch].to(lesson.images.device)
            images, labels = lesson.augment(lesson.images[chosen], lesson.generator), lesson.labels[chosen]
            images = lesson.perturb(network, images, labels, noise)
            loss = functional.cross_entropy(network.train()(images), labels)
            optimizer.param_groups[0]["lr"] = self.learning_rate * (1 - step / steps)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            network.eval()
            total += loss.detach()
        if not math.isfinite(total.item()):
            raise TrainingError(f"fine-tuning diverged. Give a learning_rate below {self.learning_rate:g}.")
        if steps:
            lesson.tell(f"fine-tuned in {steps} steps: mean loss {total.item() / steps:.3f}")


def cut(network: nn.Module, learned: dict[str, Tensor]) -> nn.Module:
    """The smaller network of what was learned from this one, in eval mode and frozen."""
    return reshaped(
        network, {name.removeprefix(WEIGHTS): own for name, own in learned.items() if name.startswith(WEIGHTS)}
    )
