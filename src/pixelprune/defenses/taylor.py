"""Filters that matter least to the loss are removed, and the smaller network is fine-tuned as it was trained.

Source: Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019, section 3, arXiv:1906.10771.
Ours may score filters by the loss on adversarial images, as Sehwag et al., "HYDRA: Pruning Adversarially Robust Neural
Networks", NeurIPS 2020, arXiv:2002.10509, lets the robust loss choose connections. It scores anew in each round instead
of averaging over rounds, and fine-tunes with crops and mirror images of its own: one shift for a whole batch.
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
from pixelprune.defenses.filters import coupled, removed, staying
from pixelprune.defenses.gates import importance
from pixelprune.draws import Draws
from pixelprune.errors import TrainingError
from pixelprune.models.network import multiply_adds
from pixelprune.models.reshaped import reshaped
from pixelprune.options import LinfDistance

FILTERS, WEIGHTS = "filters.", "weights."
"""What the names of learned tensors begin with: int64, those of a layer's filters that stay; the smaller network's."""


class Taylor(DefenseOptions):
    name: Literal["taylor"]
    flops: float = Field(0.4, gt=0, lt=1, description="Share of the multiply-adds to remove.")
    order: Literal[1, 2] = Field(1, description="Of the Taylor expansion of the loss in each filter.")
    criterion: Literal["natural", "adversarial"] = Field(
        "natural", description="Images whose loss counts: clean, or perturbed as in training; by PGD after a natural one."
    )
    rounds: int = Field(4, ge=1, description="Times to score and to remove, each an equal share.")
    images: int = Field(1024, ge=1, description="Training images of the scores of a round.")
    batch: int = Field(64, ge=2, description="Images of one step; the squares of the scores are averaged over batches.")
    between: int = Field(30, ge=0, description="Steps of fine-tuning after each round but the last.")
    epochs: int = Field(4, ge=0, description="Passes over the training images after the last round.")
    learning_rate: float = Field(0.02, gt=0, description="Of SGD at the start of each fine-tuning; falls to nothing.")
    weight_decay: float = Field(5e-4, ge=0, description="L2 penalty of all weights.")
    shift: int = Field(2, ge=0, description="Random crop: moves a batch by up to so many pixels, edges reflected.")
    flip: bool = Field(False, description="Random mirror images. Off where left and right mean something.")
    eps: LinfDistance = Field(8 / 255, description="Radius of the PGD of the scores after a natural training, linf.")
    steps: int = Field(10, ge=1, description="Steps of that PGD.")

    def learn(self, network: nn.Module, lesson: Lesson) -> dict[str, Tensor]:
        """The smaller network's weights, and which filters of each layer are left.

        Raises ValueError where so many multiply-adds cannot be removed, TrainingError where fine-tuning diverges.
        """
        height, width = lesson.images.shape[2:]
        whole = multiply_adds(network, height, width)
        noise = torch.Generator(lesson.images.device).manual_seed(_drawn(lesson))
        kept: dict[str, Tensor] = {}
        for number in range(1, self.rounds + 1):
            groups = coupled(network, height, width)
            images, labels = self.examples(network, lesson, noise)
            scores = importance(network, groups, images, labels, order=self.order, batch=self.batch)
            budget = whole * (1 - self.flops * number / self.rounds)
            stay = staying(network, groups, scores, height, width, budget)
            network = removed(network, groups, stay, height, width)
            for group, own in zip(groups, stay):
                for end in group.writers:
                    before = kept.get(end.layer, torch.arange(len(own)))
                    kept[end.layer] = before[own]
            last = number == self.rounds
            steps = self.epochs * (len(lesson.images) // self.batch) if last else self.between
            loss = self._tune(network, lesson, noise, steps)
            lesson.tell(
                f"round {number}/{self.rounds}: {multiply_adds(network, height, width) / whole:.1%} of multiply-adds"
            )
