"""Whether an attack that averages over more draws a step finds more: images that stand, against the draws."""

from collections.abc import Sequence

import pandas

from pixelprune.evaluation.intervals import Rate, percent
from pixelprune.reporting.defended import Entry
from pixelprune.reporting.figure import Axis, Figure, Point, Series, panel

PLAIN = "plain"
"""The way that follows the gradient of one fresh draw, for many more steps."""
ROLES = (("robust", "square"), ("extra", "diamond"), ("corrupted", "triangle"))


def plateau(entries: Sequence[Entry]) -> Figure | None:
    """A panel a defense that was attacked along means of more and more draws, on the images that all these saw."""
    panels: list[str] = []
    rows: list[tuple[str, ...]] = []
    found: list[str] = []
    for entry in entries:
        chains = _chains(entry.run.rows)
        if not chains or not entry.judged.printable:
            continue
        right = _common(entry.run.rows, [way for chain in chains.values() for _, way in chain])
        rates = {way: Rate(int(column.sum()), len(column)) for way, column in right.items()}
        places = sorted({draws for name, chain in chains.items() for draws, _ in chain if name != PLAIN})
        ticks = [(float(place), str(draws)) for place, draws in enumerate(places)]
        if PLAIN in chains:
            ticks.append((float(len(places)), PLAIN))
        series = []
        for number, (name, chain) in enumerate(chains.items()):
            role, marker = ("control", "open") if name == PLAIN else ROLES[number % len(ROLES)]
            at = [float(len(places) if name == PLAIN else places.index(draws)) for draws, _ in chain]
            shares = [rates[way] for _, way in chain]
            points = [Point(x, rate.share, *rate.interval) for x, rate in zip(at, shares, strict=True)]
            series.append(Series(name, role, marker, points))
            rows += [
                (entry.name, way, str(draws), rate.brief, f"n = {rate.n:,}")
                for (draws, way), rate in zip(chain, shares, strict=True)
            ]
            if name != PLAIN:
                found.append(f"{entry.name} {percent(shares[0].share)} → {percent(shares[-1].share)} %")
        text = "; ".join(f"{one.label}: " + ", ".join(percent(p.y) for p in one.points) for one in series)
        axis = Axis("draws a step", ticks)
        panels.append(panel(f"plateau-{entry.run.place.replace('/', '-')}", entry.name, series, axis, description=text))
    if not panels:
        return None
    return Figure(
        name="plateau",
        title=f"Standing, from the fewest to the most draws a step: {'; '.join(found)}",
        description="Images that stand against the draws behind each step of the attack, a panel a defense",
        panels=tuple(panels),
        columns=("defense", "way", "draws a step", "standing, %", "n"),
        rows=tuple(rows),
        source="results_defended/*/rows.parquet",
        note="Only the images that all of these attacks saw. Bands and whiskers: 95 % intervals. A curve that still "
        "falls at its end is not the end: with more draws fewer may stand (check E16). `plain` follows one fresh draw "
        "a step, for many more steps.",
    )


def _chains(rows: pandas.DataFrame) -> dict[str, list[tuple[int, str]]]:
    """By what they have in common, ways that differ in their draws, ascending; and the plain one, if there are any."""
    draws = rows.drop_duplicates("way").set_index("way")["draws"]
    chains: dict[str, list[tuple[int, str]]] = {}
    for way, count in draws.items():
        stem, _, number = str(way).partition("_")
        if not number or number.isdecimal():
            chains.setdefault(stem, []).append((int(count), str(way)))
    longer = {stem: sorted(chain) for stem, chain in chains.items() if len(chain) > 1}
    return longer | ({PLAIN: chains[PLAIN]} if longer and PLAIN in chains else {})


def _common(rows: pandas.DataFrame, ways: Sequence[str]) -> dict[str, "pandas.Series[bool]"]:
    wide = rows[rows["way"].isin(ways)].pivot(index="image", columns="way", values="right_mean").dropna()
    return {way: wide[way].astype(bool) for way in ways}
