"""What other runs' points broke is broken in the numbers as well."""

import numpy as np
import pandas as pd

from pixelprune.evaluation.rows import COLUMNS, checked
from pixelprune.evaluation.transferred import ATTACK, with_transferred
from pixelprune.evaluation.worst_case import standing

IDS = np.array([5, 2, 9, 7])


def rows() -> pd.DataFrame:
    """Image 9 falls to the ladder at 0.1, image 7 is wrong as it is; access budget stands all over."""
    tables = []
    for access, eps in (("kept", 0.1), ("kept", 0.2), ("budget", 0.1)):
        column = {name: np.zeros(4) for name in COLUMNS} | {"image": IDS, "label": np.ones(4)}
        column |= {"clean_pred": np.array([1, 1, 1, 0]), "adv_pred": np.array([1, 1, access == "budget", 0])}
        words = {"access": access, "threat": "linf", "norm": "linf", "eps": eps, "attack": "pgd"}
        tables.append(pd.DataFrame(column | words).astype(COLUMNS))
    return pd.concat(tables, ignore_index=True)


def transfer(right: dict[int, bool], threat: str = "linf") -> pd.DataFrame:
    column = {"image": list(right), "right": list(right.values()), "threat": threat}
    return pd.DataFrame(column | {"target": "a", "source": "b", "stood": [image in (5, 2) for image in right]})


def stand(table: pd.DataFrame, eps: float, access: str = "kept") -> list[int]:
    stands = standing(table, access, "linf", eps)
    return [int(image) for image in stands.index[stands]]


def test_an_image_that_a_point_of_another_run_broke_does_not_stand() -> None:
    table = with_transferred(rows(), transfer({2: False, 5: True, 9: False}), "kept", {"linf": 0.1})
    assert checked(table, "here") is table
    assert stand(rows(), 0.1) == [2, 5] and stand(table, 0.1) == [5]
    assert stand(table, 0.2) == [5], "a larger ball holds the same point"
    assert stand(table, 0.1, "budget") == [2, 5, 9], "another access is another model"
    added = table[table["attack"] == ATTACK]
    assert len(added) == 4 and (added["forward"] == 0).all()


def test_images_that_were_not_tried_and_other_threats_stay_as_they_are() -> None:
    assert stand(with_transferred(rows(), transfer({}), "kept", {"linf": 0.1}), 0.1) == [2, 5]
    assert stand(with_transferred(rows(), transfer({2: False}, "l2"), "kept", {"linf": 0.1}), 0.1) == [2, 5]


def test_a_smaller_eps_knows_nothing_of_it() -> None:
    table = with_transferred(rows(), transfer({2: False, 5: False}), "kept", {"linf": 0.2})
    assert stand(table, 0.1) == [2, 5] and stand(table, 0.2) == []
