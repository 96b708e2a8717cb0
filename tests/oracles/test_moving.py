"""The fourth term: what is left when the mask answers."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pixelprune.evaluation.moving import moving
from pixelprune.evaluation.rows import COLUMNS


def rows(access: str, stands: dict[int, bool]) -> pd.DataFrame:
    """A row an image, under one attack at one eps; label 0."""
    n = len(stands)
    column: dict[str, Any] = {name: np.zeros(n) for name in COLUMNS}
    column |= {"image": list(stands), "group": list(stands), "access": access, "threat": "linf", "norm": "linf"}
    column |= {"eps": 0.1, "attack": "pgd", "adv_pred": [0 if one else 1 for one in stands.values()]}
    return pd.DataFrame(column).astype(COLUMNS)


IMAGES = range(8)
FULL = rows("full", {i: i < 2 for i in IMAGES})
KEPT = rows("kept", {i: i < 6 for i in IMAGES})


def measured(adaptive: dict[int, bool] | None, fixed: bool = False) -> Any:
    tables = [KEPT] if adaptive is None else [KEPT, rows("adaptive", adaptive)]
    pruned = [pd.concat(tables, ignore_index=True)]
    return moving([FULL], pruned, "linf", 0.1, np.random.default_rng(0), fixed=fixed)


def test_the_terms_by_hand_on_the_images_that_were_measured() -> None:
    """Of images 1 to 6, kept leaves 5 standing, full 1, adaptive 2."""
    found = measured({i: i in (1, 2) for i in range(1, 7)})
    assert (found.robust.value, found.robust.n) == (2 / 6, 6)
    assert found.mask.value == pytest.approx((2 - 5) / 6)
    assert found.left.value == pytest.approx((2 - 1) / 6)
    assert found.mask.low <= found.mask.value <= found.mask.high < 0
    assert not found.fixed


def test_a_moving_mask_may_hinder_the_attacker() -> None:
    assert measured(dict.fromkeys(IMAGES, True)).mask.value == pytest.approx(2 / 8)


def test_a_mask_that_nobody_moves_is_the_kept_access() -> None:
    found = measured(None, fixed=True)
    assert (found.mask.value, found.mask.low, found.mask.high) == (0, 0, 0)
    assert (found.robust.value, found.robust.n, found.fixed) == (6 / 8, 8, True)
    assert found.left.value == pytest.approx(4 / 8)


def test_what_was_not_measured_has_no_terms() -> None:
    assert measured(None) is None
