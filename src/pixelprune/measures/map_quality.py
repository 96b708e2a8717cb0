"""Whether maps find the pixels that the network uses, and whether the ways to tell agree.

Deletion and insertion under four baseline images, ROAD, randomised weights, stability of the mask and sensitivity to
settings, for each map and for three controls that explain nothing: random pixels, blurred random pixels, edges.
Retraining on what is left (ROAR) is not among them: that is a strategy of a study, pruned and trained.
"""

from itertools import combinations
from typing import Annotated, Any, Literal, get_args

import numpy as np
import pandas
import torch
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from pixelprune import pruned, sampling
from pixelprune.evaluation.bootstrap import mean_interval
from pixelprune.evaluation.intervals import Rate
from pixelprune.maps.blurred_random import BlurredRandom
from pixelprune.maps.catalog import Map
from pixelprune.maps.random import Random
from pixelprune.maps.sobel import Sobel
from pixelprune.measures import deletion, randomisation, road, settings, stability
from pixelprune.measures.map_scores import Asked, Floats, kept, logits
from pixelprune.measures.measure import Measured, MeasureOptions, Subject
from pixelprune.measures.ranks import spearman, tau
from pixelprune.measures.ssim import ssim
from pixelprune.options import Key, Listed

AGREES = 0.8
"""Kendall's tau below which the ranking of maps is said to depend on the baseline."""
READS = {"nothing": "data/raw", "model": settings.ANY}
SCORES = ("deletion", "insertion", "spearman", "ssim", "changed")
"""Columns of tables that are averaged over images."""
SHOWN = 6
"""Images of the picture."""

Maps = dict[str, Map]
Table = list[dict[str, Any]]
CONTROLS: dict[str, Any] = {
    "random": Random(name="random", reads="data/raw", per_image=True),
    "blurred_random": BlurredRandom(name="blurred_random", reads="data/raw"),
    "sobel": Sobel(name="sobel", reads="data/raw"),
}
"""Maps that know nothing of the network: they are always judged beside the others."""
Share = Annotated[float, Field(gt=0, lt=1)]
Counts = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Listed]


def _explaining_the_subject(value: object) -> object:
    """`{name: gradient}` needs no `reads`: the network is that of the run. Maps of a foreground are refused."""
    if not isinstance(value, dict):
        return value
    needs = {get_args(kind.model_fields["name"].annotation)[0]: kind.needs for kind in get_args(get_args(Map)[0])}
    entries = {}
    for key, entry in value.items():
        name = str(entry.get("name") if isinstance(entry, dict) else getattr(entry, "name", None))
        if key in CONTROLS:
            raise ValueError(f"{key}: the control of that name is always judged; give the map another key")
        if needs.get(name) == "foreground":
            raise ValueError(
                f"{key}: {name} ranks by a foreground; only maps of the network or of the image are judged"
            )
        missing = isinstance(entry, dict) and "reads" not in entry and name in needs
        entries[key] = entry | {"reads": READS[needs[name]]} if missing else entry
    return entries


class MapQuality(MeasureOptions):
    name: Literal["map_quality"]
    images: int = Field(32, ge=1, description="Test images that it looks at, at most.")
    maps: Annotated[
        dict[Key, Map],
        BeforeValidator(_explaining_the_subject, json_schema_input_type=dict[Key, dict[str, Any]]),
    ] = Field(
        default={
            "gradient": {"name": "gradient"}, "smoothgrad": {"name": "smoothgrad"}, "vargrad": {"name": "vargrad"},
            "integrated_gradients": {"name": "integrated_gradients"}, "grad_cam": {"name": "grad_cam"},
            "occlusion": {"name": "occlusion", "stride": 4}, "rise": {"name": "rise", "masks": 250},
        },
        validate_default=True,
        description="Maps to judge, beside the controls: as entries of `maps`, without `reads`.",
    )  # fmt: skip
    steps: int = Field(16, ge=1, le=1000, description="Of deletion and insertion, in equal shares of the pixels.")
    blur: float = Field(3.0, ge=0.3, le=100, description="Standard deviation of the blurred baseline, in pixels.")
    shares: Annotated[tuple[Share, ...], Listed] = Field(
        (0.1, 0.3, 0.5, 0.7, 0.9), min_length=1, description="Of the pixels that ROAD removes."
    )
    noise: float = Field(0.01, ge=0, le=1, description="Standard deviation of what ROAD adds to pixels it guesses.")
    layers: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Listed] = Field(
        (0.01, 0.5, 1.0), min_length=1, description="Shares of the layers with new weights, from the top; at least one."
    )
    keep: Share = Field(0.5, description="Share of the pixels in the mask whose stability is measured.")
    attack_steps: int = Field(20, ge=1, description="Steps of the attack on the network whose images move the mask.")
    sizes: Counts = Field((4, 8, 12), description="Sides of the occluder that are compared, in pixels.")
    strides: Counts = Field((2, 4, 8), description="Strides of the occluder that are compared, in pixels.")
    masks: Counts = Field((60, 125, 250), description="Counts of RISE's masks that are compared.")
    again: int = Field(8, ge=1, description="Images for which maps are computed many times: new weights, settings.")

    def __call__(self, subject: Subject) -> Measured:
        seen, other = subject.test.first(self.images), subject.held_out
        asked = Asked(
            subject.network, subject.fill(seen.images, seen.mask), seen.labels, seen.ids,
            (other.images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy(),
        )  # fmt: skip
        maps: Maps = CONTROLS | self.maps
        subject.tell(f"{len(maps)} maps of {len(seen)} images")
        rankings = {name: asked.ranking(entry) for name, entry in maps.items()}
        auc = self._areas(asked, rankings)
        subject.tell("deletion and insertion done")
        removed = self._road(asked, rankings, subject)
        subject.tell("ROAD done")
        tables = {
            "auc": auc,
            "road": removed,
            "randomisation": self._randomised(asked.first(self.again), maps, subject.seed),
            "stability": self._stability(asked, maps, rankings, subject),
            "settings": self._settings(asked.first(self.again)),
        }
        right = logits(asked.network, asked.images).argmax(1) == asked.labels
        summary = {
            "images": len(seen), "images_again": min(self.again, len(seen)), "maps": list(maps),
            "controls": list(CONTROLS), "clean_accuracy": float(right.float().mean()),
            **{name: _means(table, subject.seed) for name, table in tables.items() if name != "road"},
            **_baselines(auc), **_orders(removed),
        }  # fmt: skip
        return Measured(summary, tables, {"maps": _picture(asked, rankings)})

    def _areas(self, asked: Asked, rankings: dict[str, Floats]) -> pandas.DataFrame:
        rows: Table = []
        for baseline, substrate in deletion.baselines(asked, self.blur).items():
            for name, ranking in rankings.items():
                deleted, inserted = deletion.areas(asked, ranking, substrate, self.steps)
                rows += _rows(asked, {"map": name, "baseline": baseline}, {"deletion": deleted, "insertion": inserted})
        return pandas.DataFrame(rows)

    def _road(self, asked: Asked, rankings: dict[str, Floats], subject: Subject) -> pandas.DataFrame:
        rows: Table = []
        draws = subject.draws(subject.test.first(self.images), "road")
        for name, ranking in rankings.items():
            found = road.right(asked, ranking, self.shares, self.noise, draws)
            for order, curve in zip(("morf", "lerf"), found):
                for share, right in zip(self.shares, curve):
                    rows += _rows(asked, {"map": name, "order": order, "share": share}, {"right": right})
        return pandas.DataFrame(rows)

    def _randomised(self, asked: Asked, maps: Maps, seed: int) -> pandas.DataFrame:
        rows: Table = []
        first = {name: asked.ranking(entry) for name, entry in maps.items()}
        done: set[int] = set()
        for share in self.layers:
            generator = sampling.torch_generator(seed, "measures", "randomised weights")
            network, count = randomisation.randomised(asked.network, share, generator)
            if count in done:  # of few layers, two shares may be the same ones
                continue
            done.add(count)
            for name, entry in maps.items():
                now = asked.ranking(entry, network=network)
                similar = ssim(torch.from_numpy(first[name]), torch.from_numpy(now)).numpy()
                values = {"spearman": spearman(np.abs(first[name]), np.abs(now)), "ssim": similar}
                rows += _rows(asked, {"map": name, "layers": count}, values)
        return pandas.DataFrame(rows)

    def _stability(
        self, asked: Asked, maps: Maps, rankings: dict[str, Floats], subject: Subject
    ) -> pandas.DataFrame:  # fmt: skip
        rows: Table = []
        draws = subject.draws(subject.test.first(self.images), "stability")
        for way, images in stability.neighbours(asked, subject.threat.ball(), self.attack_steps, draws).items():
            for name, entry in maps.items():
                masks = [
                    kept(values, self.keep, subject.device)
                    for values in (rankings[name], asked.ranking(entry, images=images))
                ]
                rows += _rows(asked, {"map": name, "by": way}, {"changed": stability.changed(*masks).cpu().numpy()})
        return pandas.DataFrame(rows)

    def _settings(self, asked: Asked) -> pandas.DataFrame:
        rows: Table = []
        variants = settings.variants(self.sizes, self.strides, self.masks)
        for setting, one, other, rho in settings.agreement(asked, variants):
            rows += _rows(asked, {"setting": setting, "values": f"{one} and {other}"}, {"spearman": rho})
        return pandas.DataFrame(rows, columns=["image", "setting", "values", "spearman"])


def _rows(asked: Asked, keys: dict[str, Any], values: dict[str, NDArray[Any]]) -> Table:
    """One row an image."""
    return [
        {"image": int(image)} | keys | {name: value[row].item() for name, value in values.items()}
        for row, image in enumerate(asked.ids)
    ]


def _baselines(auc: pandas.DataFrame) -> dict[str, Any]:
    """How far the baselines agree on the order of the maps, two by two."""
    found: dict[str, Any] = {}
    for score in ("deletion", "insertion"):
        means = auc.groupby(["baseline", "map"], sort=False)[score].mean().unstack()
        found[score] = {
            f"{one} and {other}": tau(means.loc[one].to_numpy(), means.loc[other].to_numpy())
            for one, other in combinations(means.index, 2)
        }
    least = min(min(pairs.values()) for pairs in found.values())
    depends = "the ranking depends on the baseline" if least < AGREES else "the baselines rank the maps alike"
    return {"tau": found, "least_tau": least, "baselines": depends}


def _orders(removed: pandas.DataFrame) -> dict[str, Any]:
    """Accuracy at each share, and whether removing the first and the last pixels rank the maps alike."""
    found: dict[str, Any] = {}
    for (name, order, share), right in removed.groupby(["map", "order", "share"], sort=False)["right"]:
        rate = Rate(int(right.sum()), len(right))
        accuracy = {"accuracy": rate.share, "low": rate.interval[0], "high": rate.interval[1], "n": rate.n}
        found.setdefault(str(name), {}).setdefault(str(order), {})[f"{share:g}"] = accuracy
    means = removed.groupby(["map", "order"], sort=False)["right"].mean().unstack()
    # A good map has a low MoRF and a high LeRF accuracy.
    return {"road": found, "road_tau": tau(-means["morf"].to_numpy(), means["lerf"].to_numpy())}


def _means(table: pandas.DataFrame, seed: int) -> dict[str, Any]:
    """The mean over images, with its interval, of each value for each combination of the columns before it."""
    numbers = [column for column in table.columns if column in SCORES]
    keys = [column for column in table.columns if column not in ("image", *numbers)]
    found: dict[str, Any] = {}
    for (outer, inner), rows in table.groupby(keys, sort=False):
        place = found.setdefault(str(outer), {})[str(inner)] = {}
        for column in numbers:
            place[column] = _estimate(rows[column].to_numpy(), rows["image"].to_numpy(), seed)
    return found


def _estimate(values: NDArray[Any], images: NDArray[Any], seed: int) -> dict[str, float]:
    found = mean_interval(values, images, sampling.numpy_generator(seed, "map quality"), resamples=2000)
    return {"mean": found.value, "low": found.low, "high": found.high, "n": found.n}


def _picture(asked: Asked, rankings: dict[str, Floats]) -> NDArray[np.uint8]:
    """A row for each of the first images: itself, then its maps in the order of the summary, uint8 (H, W, 3)."""
    own = (asked.images[:SHOWN] * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    gray = [np.repeat(pruned.picture(values[:SHOWN])[..., None], 3, axis=3) for values in rankings.values()]
    return np.concatenate(list(np.concatenate([own, *gray], axis=2)), axis=0)
