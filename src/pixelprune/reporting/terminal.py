"""The result table for a terminal of 100 columns, from the tables of a finished report."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelprune.errors import ArtifactError
from pixelprune.evaluation.intervals import percent, points

if TYPE_CHECKING:
    import pandas
    from rich.console import Console

WIDTH = 100
STYLES = {"reportable": "green", "upper bound": "yellow", "constant": "red", "invalid": "red"}
MISSING = "–"
SUM = "robust = none + budget + location + feature (points); feature holds the clean difference"
MOVING = "adaptive: robust when the attacker writes everywhere and the mask answers{counts}"

DEFENSES = "defenses, on the network that prunes nothing; worst: under all ways of attack, of n images"
OF_THEM = (
    "undefended: that network alone, under its own attack, of the same n; gain: worst - undefended, in points",
    "transferred: points made on the undefended network, not a robustness number",
)
COLUMNS = ("training", "defense", "clean %", "transferred %", "worst %", "undefended %", "gain", "n", "verdict")


def show(folder: Path, console: "Console") -> None:
    """One table a threat at its headline eps, then the path of the report. Raises ArtifactError where there is none."""
    accuracy, decomposition = _read(folder / "accuracy.csv"), _read(folder / "decomposition.csv", empty_is_fine=True)
    for threat in dict.fromkeys(accuracy["threat"]):
        rows = accuracy[(accuracy["threat"] == threat) & accuracy["headline"]]
        console.print(_heading(rows.iloc[0]), highlight=False, markup=False)
        console.print(_table(rows, decomposition))
        console.print(SUM, highlight=False)
        console.print(f"{_moving(rows)}\n", highlight=False)
    if (folder / "defended.csv").exists():
        rows = _defended(folder / "defended.csv")
        console.print(DEFENSES, highlight=False, markup=False)
        console.print(_defended_table(rows))
        console.print("\n".join(OF_THEM) + "\n", highlight=False, markup=False)
    console.print(f"{folder / 'index.html'}", soft_wrap=True, highlight=False)


def markdown(folder: Path) -> str:
    """The same tables for a README. Raises ArtifactError where there is no report."""
    accuracy, decomposition = _read(folder / "accuracy.csv"), _read(folder / "decomposition.csv", empty_is_fine=True)
    blocks = []
    for threat in dict.fromkeys(accuracy["threat"]):
        rows = accuracy[(accuracy["threat"] == threat) & accuracy["headline"]]
        lines = [_heading(rows.iloc[0]), ""]
        lines.append(
            "| training | strategy | kept | clean % | robust % | budget | location | feature | adaptive % | verdict |"
        )
        lines.append("|---|---|--:|--:|--:|--:|--:|--:|--:|---|")
        for _, row in rows.iterrows():
            terms = _terms(decomposition, row)
            cells = [row["training"], row["strategy"], f"{100 * row['kept_pixels']:.0f} %"]
            cells += [_rate(row, name) for name in ("clean", "robust")]
            cells += [_term(terms, name) for name in ("budget", "location", "feature")]
            cells.append(_rate(row, "adaptive"))
            lines.append("| " + " | ".join([*cells, row["verdict"]]) + " |")
        blocks.append("\n".join([*lines, "", f"{_moving(rows)}."]))
    if (folder / "defended.csv").exists():
        lines = [DEFENSES, "", f"| {' | '.join(COLUMNS)} |", f"|---|---|{'--:|' * 6}---|"]
        lines += [f"| {' | '.join(cells)} |" for cells in _defended(folder / "defended.csv")]
        blocks.append("\n".join([*lines, "", f"{'; '.join(OF_THEM)}."]))
    return "\n\n".join(blocks)


def _heading(row: "pandas.Series") -> str:
    """What the numbers of a threat's table are of; any of its rows tells."""
    seeds = f" x {row['seeds']} seeds" if row["seeds"] > 1 else ""
    counts = f"n = {row['tested']:,} clean, {row['attacked']:,} attacked{seeds}; 95 % intervals"
    attacks = ", ".join(row["attacks"].split())
    return f"threat {row['threat']}: {row['norm']} {row['eps']}, worst of {attacks}; {counts}"


def _moving(rows: "pandas.DataFrame") -> str:
    """What the column `adaptive` is, with the counts of images that it was measured on."""
    counts = sorted({int(count) for count in rows["adaptive_images"].dropna()})
    return MOVING.format(counts=f" (n = {' or '.join(map(str, counts))})" if counts else ": not measured")


def _terms(decomposition: "pandas.DataFrame", row: "pandas.Series") -> "pandas.DataFrame":
    """The terms of the row's strategy, training and threat, by their names."""
    if not len(decomposition):
        return decomposition
    same = [decomposition[key] == row[key] for key in ("strategy", "training", "threat")]
    return decomposition[same[0] & same[1] & same[2]].set_index("term")


def _table(rows: "pandas.DataFrame", decomposition: "pandas.DataFrame") -> Any:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("strategy", overflow="fold")
    for name in ("clean %", "robust %", "budget", "location", "feature", "adaptive %"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for training in dict.fromkeys(rows["training"]):
        table.add_row(f"[dim]{escape(training)}:[/]")
        for _, row in rows[rows["training"] == training].iterrows():
            terms = _terms(decomposition, row)
            table.add_row(
                escape(row["strategy"]),
                _half(row, "clean"),
                _half(row, "robust"),
                *(_term(terms, name) for name in ("budget", "location", "feature")),
                _half(row, "adaptive"),
                f"[{STYLES[row['verdict']]}]{row['verdict']}[/]",
            )
        table.add_section()
    return table


def _rate(row: "pandas.Series", name: str) -> str:
    value, low, high = (row[key] for key in (name, f"{name}_low", f"{name}_high"))
    if value != value:  # nan: not printed
        return MISSING
    return f"{percent(value)} [{percent(low)}, {percent(high)}]"


def _half(row: "pandas.Series", name: str) -> str:
    """A rate and half the width of its interval."""
    value, low, high = (row[key] for key in (name, f"{name}_low", f"{name}_high"))
    return MISSING if value != value else _plus_minus(value, low, high, percent)


def _term(terms: "pandas.DataFrame", name: str) -> str:
    """The value and half the width of its interval."""
    if name not in terms.index:
        return MISSING
    row = {key: float(terms.loc[name, key]) for key in ("value", "value_low", "value_high")}  # type: ignore[arg-type]
    return _plus_minus(row["value"], row["value_low"], row["value_high"], points)


def _defended(path: Path) -> list[list[str]]:
    """The cells of COLUMNS, a row a defended run; a seed is named where there are several."""
    table = _read(path)
    several = table["seed"].nunique() > 1
    found = []
    for (training, seed, defense), rows in table.groupby(["training", "seed", "defense"], sort=False):
        worst = [way for way in rows["way"].dropna() if way.startswith("worst of ")]
        hardest = worst[-1] if worst else ""
        wanted = (("clean", "defended"), ("transferred", "defended"), (hardest, "defended"), (hardest, "undefended"))
        found.append([
            f"{training}/{seed}" if several else str(training), str(defense),
            *(_number(rows, *key, percent) for key in wanted), _number(rows, hardest, "difference", points),
            hardest.removeprefix("worst of ") or MISSING, str(rows["verdict"].iloc[0]),
        ])  # fmt: skip
    return found


def _number(rows: "pandas.DataFrame", way: str, quantity: str, text: Callable[[float], str]) -> str:
    """The only such row and half the width of its interval; `–` where there is none."""
    own = rows[(rows["way"] == way) & (rows["quantity"] == quantity)]
    if own.empty:
        return MISSING
    value, low, high = (float(own[key].iloc[0]) for key in ("value", "low", "high"))
    return _plus_minus(value, low, high, text)


def _defended_table(rows: list[list[str]]) -> Any:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(COLUMNS[1], overflow="fold")
    for name in COLUMNS[2:]:
        table.add_column(name, justify="left" if name == "verdict" else "right", no_wrap=True)
    for training in dict.fromkeys(row[0] for row in rows):
        table.add_row(f"[dim]{escape(training)}:[/]")
        for _, *cells, word in (row for row in rows if row[0] == training):
            table.add_row(*map(escape, cells), f"[{STYLES[word]}]{word}[/]")
        table.add_section()
    return table


def _plus_minus(value: float, low: float, high: float, text: Callable[[float], str]) -> str:
    """A number and how far its interval reaches on the longer side: close to 0 and 1 it is far from symmetric."""
    return f"{text(value)}±{100 * max(high - value, value - low):.1f}"


def _read(path: Path, empty_is_fine: bool = False) -> "pandas.DataFrame":
    import pandas

    try:
        return pandas.read_csv(path, keep_default_na=False, na_values=[""])
    except FileNotFoundError:
        raise ArtifactError(
            f"{path}: no such file: there is no report yet. Run `dvc repro`, or `dvc pull` to fetch it."
        ) from None
    except pandas.errors.EmptyDataError:
        if empty_is_fine:
            return pandas.DataFrame()
        raise ArtifactError(f"{path}: empty. Delete it and run `dvc repro`.") from None
    except ValueError as error:
        raise ArtifactError(f"{path}: not a CSV table ({error}). Delete it and run `dvc repro`.") from None
