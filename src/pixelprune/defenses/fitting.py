"""The steps by which a defense that answers by chance learns from a lesson."""

from collections.abc import Callable, Iterable
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from pixelprune.attacks.mean import Drawn
from pixelprune.defenses.defense import Lesson
from pixelprune.draws import Draws


def nothing() -> Tensor | float:
    return 0.0


def fit(
    drawn: Drawn,
    parameters: Iterable[Tensor],
    lesson: Lesson,
    *,
    epochs: int,
    batch: int,
    learning_rate: float,
    penalty: Callable[[], Tensor | float] = nothing,
) -> None:
    """Adam on the cross-entropy of one draw an image plus penalty() / len(lesson.images).

    The images are perturbed against one draw and learned from by another: no attacker knows the draw that will be.
    """
    parameters, device = list(parameters), lesson.images.device
    optimizer = torch.optim.Adam(parameters, learning_rate)
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(lesson.images), generator=lesson.generator).to(device)
        total, bounds = torch.zeros((), device=device), [*range(0, len(order), batch), len(order)]
        for start, stop in pairwise(bounds):
            chosen = order[start:stop]
            draws = Draws(Draws.seeded(len(chosen), lesson.generator).seeds.to(device))
            images, labels = lesson.augment(lesson.images[chosen], lesson.generator), lesson.labels[chosen]
            images = lesson.perturb(_known(drawn, draws), images, labels, lesson.generator).detach()
            loss = functional.cross_entropy(drawn(images, draws.branch(1)), labels)
            optimizer.zero_grad(set_to_none=True)
            (loss + penalty() / len(lesson.images)).backward()
            optimizer.step()
            total += loss.detach() * len(chosen)
        lesson.tell(f"epoch {epoch}/{epochs}: loss {total.item() / len(order):.3f}")


def _known(drawn: Drawn, draws: Draws) -> Callable[[Tensor], Tensor]:
    """The network of one draw, the same at every call."""
    return lambda images: drawn(images, draws.branch(0))
