"""A network behind a defense, as the models that attacks climb and that verdicts ask: for each use, its own draws.

A defense that answers by chance is asked by the mean of several draws; any other as a plain model. Where the images of
a batch have a say in one another's classes, each one is classified in its own group, always the same one: those of the
group that are not attacked at the moment stand in as they are. Passes are counted of attacked images alone.
"""

from dataclasses import dataclass, replace
from math import log
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from pixelprune.attacks.fresh import Fresh, earlier
from pixelprune.attacks.losses import margin
from pixelprune.attacks.mean import Drawn, Mean, votes
from pixelprune.attacks.narrowing import Model, narrow
from pixelprune.draws import Draws
from pixelprune.harness.ladder import Batch, chunks

Gradient = Literal["identity", "unrolled"]


class Defense(Protocol):
    """What the harness asks of a defense; see defenses.defense for the words."""

    @property
    def name(self) -> str: ...
    @property
    def randomised(self) -> bool: ...
    @property
    def dynamic(self) -> bool: ...
    @property
    def batch_coupled(self) -> bool: ...
    @property
    def posterior(self) -> bool: ...

    def around(self, network: nn.Module, learned: dict[str, Tensor], gradient: Gradient = "identity") -> Drawn: ...

    def shown(
        self, network: nn.Module, learned: dict[str, Tensor], images: Tensor, draws: Draws
    ) -> dict[str, Tensor]: ...

    def members(self, network: nn.Module, learned: dict[str, Tensor]) -> list[Model]: ...

    def model_dump(self, *, mode: str) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Behind:
    """A defense around a network, for the images of this batch."""

    defense: Defense
    network: nn.Module
    learned: dict[str, Tensor]
    batch: Batch
    seed: int
    group: int
    """Images of a group, where the defense couples them: the first ones of the batch, the next ones, ..."""

    def drawn(self, gradient: Gradient = "identity") -> Drawn:
        """One draw, narrowed as models are: for all images of the batch, in their order."""
        return self.coupled(self.defense.around(self.network, self.learned, gradient))

    def coupled(self, drawn: Drawn) -> Drawn:
        """The same, each image in its group where the defense asks for it."""
        if not self.defense.batch_coupled:
            return drawn
        everybody = torch.arange(len(self.batch), device=self.batch.images.device)
        return Grouped(drawn, self.batch.images, self.streams("stand in"), self.group, everybody)

    def model(self, draws: int, word: str, gradient: Gradient = "identity") -> "Mean | Once":
        """Of so many draws a pass where it answers by chance, others for each word; else of one."""
        return self.of(self.drawn(gradient), draws, word)

    def of(self, drawn: Drawn, draws: int, word: str) -> "Mean | Once":
        """As `model`, of another function of the same images."""
        fresh = Fresh.of(self.streams(word))
        return Mean(drawn, fresh, draws) if self.defense.randomised else Once(drawn, fresh)

    def streams(self, word: str) -> Draws:
        return Draws.of(self.batch.ids, self.seed, "defended", word, device=self.batch.images.device)

    def first(self, count: int) -> "Behind":
        """For so many images, which are then the whole batch."""
        return replace(self, batch=self.batch.first(count))

    def parts(self, count: int) -> tuple[Tensor, ...]:
        """Positions of the first `count` images that are judged together: whole groups where there are groups."""
        return chunks(self.batch.images[:count], self.together)

    @property
    def together(self) -> int:
        """How many images, one behind the other, have a say in one another's classes."""
        return self.group if self.defense.batch_coupled else 1

    def judge(self, points: Tensor, draws: int) -> Tensor:
        """Log-probabilities of every draw at points of the first images: float32 (draws, N, K), or (1, N, K).

        The same draws at every call: else the worst of many points would be the unluckiest.
        """
        model = self.model(draws, "verdict")
        with torch.no_grad():
            return torch.cat([narrow(model, index).each(points[index]) for index in self.parts(len(points))], 1)


@dataclass(frozen=True)
class Once:
    """A model that does not answer by chance, or is declared so: logits of one draw, with the gradient as it is."""

    model: Drawn
    fresh: Fresh
    draws: int = 1

    def __call__(self, images: Tensor) -> Tensor:
        return self.model(images, self.fresh.next())

    def each(self, images: Tensor) -> Tensor:
        """Log-probabilities, float32 (1, N, K)."""
        return torch.log_softmax(self(images), 1)[None]

    def narrow(self, index: Tensor) -> "Once":
        return Once(narrow(self.model, index), self.fresh.narrow(index))


@dataclass(frozen=True)
class Known:
    """One draw, the same at every call: images -> logits, narrowed as models are."""

    drawn: Drawn
    draws: Draws

    def __call__(self, images: Tensor) -> Tensor:
        return self.drawn(images, Draws(self.draws.seeds))

    def narrow(self, index: Tensor) -> "Known":
        return Known(narrow(self.drawn, index), self.draws.narrow(index))


@dataclass(frozen=True)
class Grouped:
    """One draw of images that have a say in one another's classes, for those at `rows`.

    images: all of the batch, as they are; streams: one for each.
    """

    drawn: Drawn
    images: Tensor
    streams: Draws
    size: int
    rows: Tensor
    """int64 (N,), positions in `images`; one that is there twice is classified in two copies of its group."""

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Logits (N, K), each in its group, whose images are these where they are among them, else as they were."""
        groups = torch.stack([earlier(self.rows), self.rows // self.size], 1)
        kinds, which = groups.unique(dim=0, return_inverse=True)
        parts, places = [], []
        for number, group in enumerate(kinds[:, 1].tolist()):
            here = (which == number).nonzero().squeeze(1)
            start = group * self.size
            place, members = self.rows[here] - start, slice(start, start + self.size)
            whole = self.images[members].to(images.dtype).index_copy(0, place, images[here])
            # Who stands in draws other numbers at each pass as well: those that belong to the first attacked image.
            seeds = Draws(self.streams.seeds[members]).branch(draws.seeds[here[0]]).seeds
            seeds = seeds.index_copy(0, place, draws.seeds[here])
            parts.append(self.drawn(whole, Draws(seeds))[place])
            places.append(here)
        return torch.cat(parts)[torch.cat(places).argsort()]

    def narrow(self, index: Tensor) -> "Grouped":
        return replace(self, rows=self.rows[index])


@dataclass(frozen=True)
class Verdict:
    """What fresh draws say of N images. each: log-probabilities, float32 (draws, N, K); labels: int64 (N,)."""

    each: Tensor
    labels: Tensor

    @property
    def margins(self) -> Tensor:
        """Of the mean probability, in logarithms: float32 (N,), positive where it errs."""
        return margin(self.each.logsumexp(0) - log(len(self.each)), self.labels)

    @property
    def by_mean(self) -> Tensor:
        """bool (N,): right."""
        return self.margins <= 0

    @property
    def by_majority(self) -> Tensor:
        """bool (N,): right, a tie included."""
        return margin(votes(self.each), self.labels) <= 0

    @property
    def share(self) -> Tensor:
        """float32 (N,): of the draws, how many are right."""
        return (self.each.argmax(2) == self.labels).float().mean(0)
