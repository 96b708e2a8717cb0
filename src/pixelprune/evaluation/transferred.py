"""What the transfer stage broke counts as broken: its points are known, whoever found them."""

import numpy as np
import pandas as pd

from pixelprune.evaluation.rows import COLUMNS

ATTACK = "other_runs"
UNKNOWN = -1
"""Stands for a wrong class that was not noted."""


def with_transferred(
    rows: pd.DataFrame, transfer: pd.DataFrame, access: str, headlines: dict[str, float]
) -> pd.DataFrame:
    """Rows of a run (evaluation.rows) with one attack more under `access`, at the headline eps of each threat.

    transfer: its rows of the transfer stage; columns threat, image, stood, right. Images that it did not try stand.
    """
    tables = [rows]
    for threat, eps in headlines.items():
        own = rows[(rows["access"] == access) & (rows["threat"] == threat)].drop_duplicates("image")
        fell = transfer[(transfer["threat"] == threat) & transfer["stood"] & ~transfer["right"]]["image"].unique()
        fallen = own["image"].isin(fell)
        tables.append(own.assign(
            eps=eps, attack=ATTACK, adv_pred=own["clean_pred"].mask(fallen, UNKNOWN),
            adv_margin=own["clean_margin"].mask(fallen, np.float32(np.nan)), linf=np.float32(np.nan),
            l2=np.float32(np.nan), changed_outside=0, forward=0, backward=0,
        ))  # fmt: skip
    return pd.concat(tables, ignore_index=True).astype(COLUMNS)
