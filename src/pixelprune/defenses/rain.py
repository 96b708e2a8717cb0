"""RAIN: one pixel of four by chance, shifted by chance, up-sampled by a network that learned it for the classifier.

Source: Du et al., "RAIN: A Simple Approach for Robust and Accurate Image Classification Networks", arXiv:2004.14798,
sections 3.1 to 3.3; the up-sampling network is the baseline of Lim et al., "Enhanced Deep Residual Networks for Single
Image Super-Resolution" (EDSR), CVPR Workshops 2017, arXiv:1707.02921, section 3. Theirs shifts a whole batch alike;
ours draws for each image, so that no image depends on the others.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from pixelprune.attacks.mean import Drawn
from pixelprune.defenses.defense import DefenseOptions, Gradient, Lesson
from pixelprune.draws import Draws
from pixelprune.errors import ParamsError

WINDOW = 2
"""Side of the windows of which one pixel is kept."""


class Rain(DefenseOptions):
    name: Literal["rain"]
    upsampling: Literal["bicubic", "learned"] = Field("learned", description="How the full size is reached again.")
    shift: float = Field(0.05, ge=0, lt=0.5, description="Largest shift, as a share of the smaller image's side.")
    blocks: int = Field(4, ge=1, description="Residual blocks of the up-sampling network; EDSR's baseline has 16.")
    features: int = Field(32, ge=1, description="Channels of each; EDSR's baseline has 64.")
    epochs: int = Field(2, ge=1, description="Passes over the training images that it learns from.")
    batch: int = Field(64, ge=1, description="Images of one step.")
    learning_rate: float = Field(1e-3, gt=0, description="Of Adam.")
    randomised: ClassVar[bool] = True

    def learn(self, network: nn.Module, lesson: Lesson) -> dict[str, Tensor]:
        """The up-sampling network, by the cross-entropy of the frozen classifier behind it."""
        if any(side % WINDOW for side in lesson.images.shape[2:]):
            size = " x ".join(map(str, lesson.images.shape[2:]))
            raise ParamsError(f"rain keeps one pixel of {WINDOW} x {WINDOW}: needs even sides, found images of {size}.")
        if self.upsampling == "bicubic":
            return {}
        upsampler = Upsampler(self.blocks, self.features, lesson.generator).to(lesson.images.device)
        optimizer = torch.optim.Adam(upsampler.parameters(), self.learning_rate)
        for epoch in range(1, self.epochs + 1):
            order = torch.randperm(len(lesson.images), generator=lesson.generator)
            total, bounds = 0.0, [*range(0, len(order), self.batch), len(order)]
            for start, stop in pairwise(bounds):
                chosen = order[start:stop].to(lesson.images.device)
                images = lesson.images[chosen].float() / 255
                draws = Draws(Draws.seeded(len(images), lesson.generator).seeds.to(images.device))
                low = self.reduced(images, draws)
                loss = functional.cross_entropy(network(upsampler(low)), lesson.labels[chosen])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                total += loss.item()
            lesson.tell(f"epoch {epoch}/{self.epochs}: loss {total / (len(bounds) - 1):.3f}")
        return {name: value.detach().clone() for name, value in upsampler.state_dict().items()}

    def around(self, network: nn.Module, learned: dict[str, Tensor], gradient: Gradient = "identity") -> Drawn:
        enlarge = self._enlarge(learned)
        return lambda images, draws: network(enlarge(self.reduced(images, draws)))

    def shown(self, network: nn.Module, learned: dict[str, Tensor], images: Tensor, draws: Draws) -> dict[str, Tensor]:
        low = self.reduced(images, draws)
        found = {"one pixel of four, bicubic": _bicubic(low)}
        return found | ({"one pixel of four, learned": self._enlarge(learned)(low)} if learned else {})

    def facts(self, network: nn.Module, learned: dict[str, Tensor], height: int, width: int) -> dict[str, float]:
        return {"largest shift, in pixels of the smaller image": self.reach(height // WINDOW)}

    def _enlarge(self, learned: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
        if not learned:
            return _bicubic
        upsampler = Upsampler(self.blocks, self.features, torch.Generator())
        upsampler.load_state_dict(learned)
        return upsampler.eval().requires_grad_(False).to(next(iter(learned.values())).device)

    def reach(self, side: int) -> int:
        """By how many pixels the smaller image is shifted at most: rounded down, as in the authors' code."""
        return int(self.shift * side)

    def reduced(self, images: Tensor, draws: Draws) -> Tensor:
        """Half as high and wide, shifted: float32 (N, C, H / 2, W / 2)."""
        small = subsampled(images, draws)
        return shifted(small, self.reach(small.shape[2]), self.reach(small.shape[3]), draws)


def subsampled(images: Tensor, draws: Draws) -> Tensor:
    """Of each window of 2 x 2, and of each channel, one pixel, all four alike likely. Height and width are even."""
    n, channels, height, width = images.shape
    windows = images.view(n, channels, height // WINDOW, WINDOW, width // WINDOW, WINDOW).transpose(3, 4).flatten(4)
    choice = (draws.uniform(channels, height // WINDOW, width // WINDOW) * WINDOW**2).long()
    return windows.gather(4, choice[..., None]).squeeze(4)


def shifted(images: Tensor, down: int, right: int, draws: Draws) -> Tensor:
    """Each image moved around its borders by whole numbers, uniform in [-down, down] and [-right, right]."""
    moves = draws.uniform(2)
    for axis, reach in ((2, down), (3, right)):
        size = images.shape[axis]
        by = (moves[:, axis - 2] * (2 * reach + 1)).long() - reach
        index = (torch.arange(size, device=images.device) - by[:, None]) % size
        shape = [len(images), 1, 1, 1]
        shape[axis] = size
        images = images.take_along_dim(index.view(shape), axis)
    return images


class Upsampler(nn.Module):
    """EDSR's baseline: (N, 3, H, W) -> (N, 3, 2 H, 2 W) in [0, 1]; what it learns is added to bicubic interpolation."""

    def __init__(self, blocks: int, features: int, generator: torch.Generator) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, features, 3, padding=1)
        self.body = nn.Sequential(
            *(Block(features) for _ in range(blocks)), nn.Conv2d(features, features, 3, padding=1)
        )
        self.tail = nn.Sequential(
            nn.Conv2d(features, features * WINDOW**2, 3, padding=1), nn.PixelShuffle(WINDOW),
            nn.Conv2d(features, 3, 3, padding=1),
        )  # fmt: skip
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                bound = (module.in_channels * 9) ** -0.5
                nn.init.uniform_(module.weight, -bound, bound, generator=generator)
                nn.init.zeros_(module.bias) if module.bias is not None else None
        last = self.tail[-1]
        assert isinstance(last, nn.Conv2d)
        nn.init.zeros_(last.weight)  # it starts as bicubic interpolation

    def forward(self, images: Tensor) -> Tensor:
        features = self.head(images - 0.5)
        return (_enlarged(images) + self.tail(features + self.body(features))).clamp(0, 1)


class Block(nn.Module):
    """Two convolutions around a ReLU, without normalization, added to what comes in."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(features, features, 3, padding=1), nn.ReLU(), nn.Conv2d(features, features, 3, padding=1)
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.layers(features)


def _bicubic(images: Tensor) -> Tensor:
    return _enlarged(images).clamp(0, 1)


def _enlarged(images: Tensor) -> Tensor:
    return functional.interpolate(images, scale_factor=WINDOW, mode="bicubic", align_corners=False)
