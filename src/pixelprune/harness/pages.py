"""The diary of an ensemble on disk: a file for each member that ended, until the whole part of the ladder is saved."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pixelprune import artifacts
from pixelprune.attacks.narrowing import Budget
from pixelprune.errors import ArtifactError


@dataclass(frozen=True)
class Pages:
    path: Path
    """Each file's name begins so: it names the part of the ladder and the images."""
    spent: Budget
    rows: Tensor
    """int64 (M,) on the CPU: where the attacked images stand in `spent`, which is kept with the points."""
    tell: Callable[[str], None]

    def recall(self, member: int) -> Tensor | None:
        try:
            tensors = artifacts.load_tensors(self._page(member))
        except ArtifactError:
            return None  # missing, or damaged and done again
        self.spent.forward[self.rows], self.spent.backward[self.rows] = tensors["forward"], tensors["backward"]
        return tensors["points"]

    def note(self, member: int, points: Tensor) -> None:
        own = {"forward": self.spent.forward[self.rows], "backward": self.spent.backward[self.rows]}
        artifacts.save_tensors(self._page(member), {"points": points, **own})

    def ended(self, member: int, stand: int) -> None:
        self.tell(f"attack {member + 1} of the ensemble done, {stand} of {len(self.rows)} images stand")

    def close(self) -> None:
        """Called once the result of the whole attack is saved."""
        for page in self.path.parent.glob(f"{self.path.name}-*.safetensors"):
            page.unlink()

    def _page(self, member: int) -> Path:
        return self.path.with_name(f"{self.path.name}-{member}.safetensors")
