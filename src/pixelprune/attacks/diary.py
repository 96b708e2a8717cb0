"""What an ensemble notes after each of its members, so that a killed run goes on behind the last one that ended."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

import torch
from torch import Tensor

T = TypeVar("T")


class Diary(Protocol):
    def recall(self, member: int) -> Tensor | None:
        """The points that this member found in an earlier process, as `note` got them; None where it did not end."""

    def note(self, member: int, points: Tensor) -> None:
        """points: float32 (M, C, H, W), of the images that the member attacked. Called before they are judged."""

    def ended(self, member: int, stand: int) -> None:
        """stand: how many images no member has fooled so far."""


class NoDiary:
    def recall(self, member: int) -> Tensor | None:
        return None

    def note(self, member: int, points: Tensor) -> None:
        pass

    def ended(self, member: int, stand: int) -> None:
        pass


NO_DIARY = NoDiary()


@dataclass(frozen=True)
class Later:
    """The diary of an ensemble inside of another one, whose first `before` members are others."""

    diary: Diary
    before: int

    def recall(self, member: int) -> Tensor | None:
        return self.diary.recall(self.before + member)

    def note(self, member: int, points: Tensor) -> None:
        self.diary.note(self.before + member, points)

    def ended(self, member: int, stand: int) -> None:
        self.diary.ended(self.before + member, stand)


def remembered(diary: Diary, member: int, images: Tensor, attack: Callable[[], Tensor]) -> Tensor:
    """What the member finds against these images, float32 (M, C, H, W), or found in an earlier process."""
    known = diary.recall(member)
    if known is not None:
        return torch.empty_like(images).copy_(known)  # in the memory layout of a fresh one: sums round alike
    points = attack()
    diary.note(member, points)
    return points


def keeping(attack: T, diary: Diary) -> T:
    """The attack with that diary. One without members keeps none; an ensemble has a method `keeping(diary)`."""
    own = getattr(attack, "keeping", None)
    return attack if own is None else cast(T, own(diary))
