"""What an ensemble notes after each of its members, so that a killed run goes on behind the last one that ended."""

from typing import Protocol, TypeVar, cast

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


def keeping(attack: T, diary: Diary) -> T:
    """The attack with that diary. One without members keeps none; an ensemble has a method `keeping(diary)`."""
    own = getattr(attack, "keeping", None)
    return attack if own is None else cast(T, own(diary))
