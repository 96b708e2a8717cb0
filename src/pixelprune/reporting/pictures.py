"""Contact sheets: what was shown, what was hidden, and what the attack changed, for images that a stated rule picks."""

import base64
import io
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pixelprune import artifacts, pruned
from pixelprune.datasets import split
from pixelprune.evaluation import transferred
from pixelprune.evaluation.worst_case import standing
from pixelprune.reporting.analysis import Analysis, own_access
from pixelprune.reporting.collect import FULL, Results, Run

COLUMNS = ("image", "map", "mask", "as seen", "attacked", "change × 8")
ROWS = 6
GAIN = 8
FREE = ("signs", "folder")
"""Data sets whose pixels may stand in a report: the built-in one, and the user's own."""
BUDGET = 2_500_000
"""Bytes of all sheets together; a report must stay small enough to be mailed."""
LONGEST = 128
"""Pixels of a tile's longer side. Six rows of such tiles fit the budget even where they are noise."""


@dataclass(frozen=True)
class Tile:
    uri: str
    """data:image/png;base64,..."""
    alt: str


@dataclass(frozen=True)
class Row:
    tiles: tuple[Tile, ...]
    caption: str
    """Image id, label, predictions and margins."""


@dataclass(frozen=True)
class Sheet:
    strategy: str
    title: str
    rule: str
    rows: tuple[Row, ...]


def allowed(results: Results) -> bool:
    return results.data["name"] in FREE


def sheets(results: Results, analysis: Analysis) -> list[Sheet]:
    """One sheet a strategy in the training of the first screen, the focus first, and one of what the focus lost.

    It ends before the first sheet that the budget has no room for.
    """
    if not allowed(results):
        return []
    data = split.load(results.root / "data/raw", "test")
    order = [name for name in results.strategies if name != FULL]
    order.sort(key=lambda name: name != analysis.focus)
    made: list[Sheet] = []
    left = BUDGET
    for name in order:
        run = results.of(name, analysis.training)[0]
        shown = _Shown(results, run, data, analysis)
        drawn = [shown.by_quantile()]
        if name == analysis.focus:
            drawn.append(shown.lost(results.of(FULL, analysis.training)[0]))
        for sheet in drawn:
            left -= sum(len(tile.uri) for row in sheet.rows for tile in row.tiles)
            if left < 0:
                return made
            made += [sheet] if sheet.rows else []
    return made


class _Shown:
    """The stored adversarial examples of one run, with all that belongs to these images. M images of H x W pixels."""

    def __init__(self, results: Results, run: Run, data: split.Split, analysis: Analysis) -> None:
        access, threat = own_access(run.strategy), analysis.threat
        self.run, self.analysis, self.classes = run, analysis, results.data["classes"]
        self.ids = artifacts.load_array(run.folder / "examples/ids.npy", "int64", "M")
        rows = _positions(np.asarray(data.ids), np.asarray(self.ids))
        self.images = data.images[rows].astype(np.float32) / 255
        stored = artifacts.load_array(run.folder / f"examples/{access}_{threat.name}.npy", "float32", "M C H W")
        self.attacked = np.array(stored).transpose(0, 2, 3, 1)
        strategy = pruned.load(results.root / "data/pruned" / run.strategy)
        masks = strategy.masks("test", len(data))[rows]
        self.masks = masks[:, 0].numpy()
        self.seen = (
            strategy.fill(torch.from_numpy(self.images.transpose(0, 3, 1, 2)), masks).numpy().transpose(0, 2, 3, 1)
        )
        behind = strategy.fill(torch.from_numpy(np.array(stored)), masks).numpy().transpose(0, 2, 3, 1)
        self.attacked_seen = behind
        ranks = artifacts.load_array(results.root / "data/pruned" / run.strategy / "picture.npy", "uint8", "N H W")
        self.maps = np.asarray(ranks[rows], np.float32)
        table = run.rows
        table = table[(table["access"] == access) & (table["threat"] == threat.name)]
        table = table[np.isclose(table["eps"], threat.headline) & (table["attack"] != transferred.ATTACK)]
        self.worst = table.sort_values("adv_margin", kind="stable").groupby("image").last().loc[self.ids]

    def by_quantile(self) -> Sheet:
        order = np.argsort(self.worst["adv_margin"].to_numpy(), kind="stable")
        picks = np.unique(np.linspace(0, len(order) - 1, min(ROWS, len(order))).round().astype(int))
        return Sheet(
            strategy=self.run.strategy,
            title=self.run.place,
            rule=(
                f"{len(picks)} of {len(order)} fixed images, at equal steps of the margin under attack, from the "
                "safest to the one lost by most."
            ),
            rows=tuple(self._row(int(position)) for position in order[picks]),
        )

    def lost(self, full: Run) -> Sheet:
        """The images that the full model holds under full access and this one loses, the widest margins first."""
        threat = self.analysis.threat
        stands = (
            standing(full.rows, "full", threat.name, threat.headline).reindex(self.ids, fill_value=False).to_numpy()
        )
        margin = self.worst["adv_margin"].to_numpy()
        chosen = [int(i) for i in np.argsort(-margin, kind="stable") if stands[i] and margin[i] > 0][:ROWS]
        return Sheet(
            strategy=self.run.strategy,
            title=f"{self.run.place}: lost, though {full.place} holds them",
            rule=f"Of {len(self.ids)} fixed images, lost here and held by the full network; largest margin first.",
            rows=tuple(self._row(position) for position in chosen),
        )

    def _row(self, i: int) -> Row:
        worst = self.worst.iloc[i]
        label, clean, broken = (self.classes[int(worst[key])] for key in ("label", "clean_pred", "adv_pred"))
        change = self.attacked[i] - self.images[i]
        kept = 100 * self.masks[i].mean()
        pictures = (
            (_bytes(self.images[i]), f"{label}, the whole image"),
            (_heat(self.maps[i]), "map: darker is kept first"),
            (_hatched(self.images[i], self.masks[i]), f"{kept:.0f} % of the pixels kept, the others hatched"),
            (_bytes(self.seen[i]), f"as the network sees it, predicted {clean}"),
            (_bytes(self.attacked_seen[i]), f"{label}, predicted {broken} after the attack"),
            (_diverging(change), f"change of the pixels, times {GAIN}"),
        )
        held = "holds" if broken == label else "lost"
        return Row(
            tiles=tuple(Tile(_png(picture), alt) for picture, alt in pictures),
            caption=(
                f"image {int(self.ids[i])}, {label}: clean {clean} ({worst['clean_margin']:+.1f}), "
                f"attacked {broken} ({worst['adv_margin']:+.1f}), {held}"
            ),
        )


def _positions(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    order = np.argsort(ids, kind="stable")
    return order[np.searchsorted(ids, wanted, sorter=order)]


def _bytes(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _heat(ranks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """One hue, light to dark; each image's own range."""
    low, high = float(ranks.min()), float(ranks.max())
    share = (ranks - low) / (high - low) if high > low else np.full_like(ranks, 0.5)
    light, dark = np.array([240, 246, 250]), np.array([0, 60, 105])
    return np.round(light + share[..., None] * (dark - light)).astype(np.uint8)


def _hatched(image: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Dropped pixels in grey with diagonal hatching, at least 128 pixels high: black is a color that images have."""
    zoom = max(1, 128 // len(mask))
    large = _bytes(image).repeat(zoom, 0).repeat(zoom, 1)
    open_ = mask.repeat(zoom, 0).repeat(zoom, 1)
    y, x = np.mgrid[: large.shape[0], : large.shape[1]]
    hatch = np.where(((x + y) % 8 < 2)[..., None], 105, 165).astype(np.uint8)
    return np.where(open_[..., None], large, hatch)


def _diverging(change: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The channel that changed most: blue down, white none, vermillion up; full color at half the range, after GAIN."""
    channel = np.abs(change).argmax(axis=2)[..., None]
    share = np.clip(np.take_along_axis(change, channel, axis=2) * GAIN * 2, -1, 1)
    ends = np.where(share > 0, np.array([179, 78, 0]), np.array([0, 94, 160]))
    return np.round(255 + np.abs(share) * (ends - 255.0)).astype(np.uint8)


def _png(picture: NDArray[np.uint8]) -> str:
    """A larger picture is thinned out, so that every pixel shown is one of the picture's own."""
    from PIL import Image

    tile = Image.fromarray(picture)
    tile.thumbnail((LONGEST, LONGEST), Image.Resampling.NEAREST)
    return uri(np.asarray(tile))


def uri(picture: NDArray[np.uint8]) -> str:
    """uint8 (H, W) or (H, W, 3), as it is."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
