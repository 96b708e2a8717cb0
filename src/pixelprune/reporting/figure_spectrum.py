"""What a defense that changes images takes from each frequency, and what it puts back."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pixelprune.reporting.defended import Entry
from pixelprune.reporting.figure import Axis, Figure, Point, Series, panel

# As the classes of page.css go: what was, what is in between, what the network gets.
ROLES = ("control", "extra", "robust", "corrupted")


def spectrum(entries: Sequence[Entry]) -> Figure | None:
    """A panel a defense that shows the network other images: the power of the clean ones at each frequency."""
    panels: list[str] = []
    rows: list[tuple[str, ...]] = []
    found: list[str] = []
    for entry in entries:
        if not entry.run.shown:
            continue
        powers = {name: radial(images) for name, images in entry.run.shown["clean"].items()}
        image, *_, last = powers.values()
        high = slice(len(image) // 2, None)
        found.append(f"{entry.name} {100 * last[high].sum() / image[high].sum():.0f} %")
        logs = {name: np.log10(np.maximum(power, 1e-12)) for name, power in powers.items()}
        series = [
            Series(name, ROLES[min(number, len(ROLES) - 1)], "", _line(own), band=False)
            for number, (name, own) in enumerate(logs.items())
        ]
        low, top = int(np.floor(min(map(np.min, logs.values())))), int(np.ceil(max(map(np.max, logs.values()))))
        decades = Axis("power, log10", [(float(one), str(one)) for one in range(low, max(top, low + 1) + 1)])
        ticks = sorted({1, len(image) // 2, len(image)})
        axis = Axis("cycles an image", [(float(one), str(one)) for one in ticks])
        text = f"Power from {ticks[0]} to {ticks[-1]} cycles an image: {', '.join(powers)}"
        key = f"spectrum-{entry.run.place.replace('/', '-')}"
        panels.append(panel(key, entry.name, series, axis, y_axis=decades, description=text, labels=150))
        rows += [
            (entry.name, name, *(f"{part.sum():.3g}" for part in (own[: high.start], own[high])))
            for name, own in powers.items()
        ]
    if not panels:
        return None
    return Figure(
        name="spectrum",
        title=f"Power of the upper half of the frequencies that reaches the network: {'; '.join(found)}",
        description="Power of clean images at each frequency, before the defense and after it, a panel a defense",
        panels=tuple(panels),
        columns=("defense", "images", "power, lower half", "power, upper half"),
        rows=tuple(rows),
        source="results_defended/*/examples/shown.safetensors",
        note="Squared amplitude, mean over images and channels, added over the frequencies of each whole radius. A "
        "share of 100 % does not say that it is the same detail: what was lost is replaced, not found again.",
    )


def _line(values: NDArray[np.float64]) -> list[Point]:
    return [Point(radius, value, value, value) for radius, value in enumerate(values, 1)]


def radial(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Power at 1, 2, ..., min(H, W) / 2 cycles an image, by the nearest whole radius: (N, C, H, W) -> (R,).

    Mean over images and channels of the squared amplitude of pixels in [0, 1]; over all frequencies, the constant one
    among them, it adds up to their mean square (Parseval).
    """
    height, width = images.shape[2:]
    power = (np.abs(np.fft.fft2(images / 255)) ** 2).mean((0, 1)) / (height * width) ** 2
    down, across = np.fft.fftfreq(height, 1 / height)[:, None], np.fft.fftfreq(width, 1 / width)[None]
    radius = np.rint(np.hypot(down, across)).astype(np.int64)
    found: NDArray[np.float64] = np.bincount(radius.ravel(), power.ravel()).astype(np.float64)
    return found[1 : min(height, width) // 2 + 1]
