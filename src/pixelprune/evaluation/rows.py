"""The table of per-image results that every number of a report is computed from: its columns, in one place.

One row an image x access x threat x eps x attack. A clean error has rows too, with the adversarial image equal to the
clean one, so that shares are always of all attacked images.
"""

from pathlib import Path
from typing import Final

import pandas as pd

from pixelprune.errors import ArtifactError

ACCESSES: Final = ("full", "budget", "location", "kept", "adaptive")
UNBOUNDED: Final = "unbounded"
"""The threat that allows every kept pixel every value: linf, eps 1."""

COLUMNS: Final = {
    "image": "int64",  # id, unique in the data set
    "label": "int16",
    "group": "int64",  # photo or track; the image id where unknown
    "access": "str",  # one of ACCESSES
    "threat": "str",  # key of params.yaml: threats, or UNBOUNDED
    "norm": "str",  # linf or l2
    "eps": "float64",  # radius, pixels in [0, 1]
    "attack": "str",  # key of params.yaml: ladder
    "clean_pred": "int16",
    "clean_margin": "float32",  # best wrong logit - right logit; > 0: wrong
    "adv_pred": "int16",
    "adv_margin": "float32",
    "linf": "float32",  # distance of the adversarial image from the clean one
    "l2": "float32",
    "changed_outside": "int32",  # pixels that differ where the access does not allow writing
    "forward": "int32",  # passes spent, in images
    "backward": "int32",
}
KEY: Final = ["image", "access", "threat", "eps", "attack"]


def checked(table: pd.DataFrame, path: Path | str) -> pd.DataFrame:
    """The table itself. Raises ArtifactError, naming `path`, on other columns, other types, or a repeated key."""
    found = {str(name): _kind(table[name]) for name in table.columns}
    if found != COLUMNS:
        wrong = [name for name in {**COLUMNS, **found} if COLUMNS.get(name) != found.get(name)]
        words = [
            f"{name}: found {found.get(name, 'nothing')}, expected {COLUMNS.get(name, 'nothing')}" for name in wrong
        ]
        raise ArtifactError(f"{path}: not a table of per-image rows. " + "; ".join(words) + ". Run `dvc repro`.")
    twice = int(table.duplicated(KEY).sum())
    if twice:
        raise ArtifactError(f"{path}: {twice} rows repeat the {' x '.join(KEY)} of another. Run `dvc repro`.")
    return table


def _kind(column: "pd.Series") -> str:
    """The dtype's name; pandas stores text under several, of which none matters here."""
    text = pd.api.types.is_string_dtype(column.dtype) or isinstance(column.dtype, pd.CategoricalDtype)
    return "str" if text else str(column.dtype)
