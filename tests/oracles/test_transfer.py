"""What transfers: points made on one model, tried on another."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pixelprune.attacks.threat import Threat
from pixelprune.evaluation.rows import COLUMNS
from pixelprune.fills.black import Black
from pixelprune.harness import accesses, transfer
from pixelprune.harness.ladder import Batch
from pixelprune.harness.transfer import Target

N, H, W = 4, 2, 2
IDS = np.array([7, 3, 9, 5])
IMAGES = torch.full((N, 3, H, W), 0.5)
LABELS = torch.ones(N, dtype=torch.int64)
BATCH = Batch(IMAGES, LABELS, IDS, IDS, examples=0)
LINF = {"linf": Threat(eps=(0.1,))}
MASK = torch.tensor([[True, False], [True, False]]).expand(N, 1, H, W)


class Bright(torch.nn.Module):
    """Class 1 while the left column's mean is at least 0.5."""

    def forward(self, images: Tensor) -> Tensor:
        score = images[:, :, :, 0].mean((1, 2)) - 0.5 + 1e-6
        return torch.stack([torch.zeros_like(score), score], 1)


def rows(stands: list[bool]) -> pd.DataFrame:
    column = {name: np.zeros(N) for name in COLUMNS}
    column |= {"image": IDS, "group": IDS, "label": np.ones(N), "clean_pred": np.ones(N), "access": "kept"}  # type: ignore[dict-item]
    column |= {"threat": "linf", "norm": "linf", "eps": 0.1, "attack": "pgd", "adv_pred": np.array(stands)}  # type: ignore[dict-item]
    return pd.DataFrame(column).astype(COLUMNS)


def tried(points: Tensor, stands: list[bool]) -> pd.DataFrame:
    target = Target("a/natural/0", accesses.kept(Bright(), MASK, Black(name="black")), rows(stands))
    return transfer.tried(target, {"b/natural/0": {"linf": points}}, LINF, BATCH)


def test_points_are_drawn_into_the_targets_mask_and_ball() -> None:
    """Image 7 is darkened on the left, by more than eps allows; 3 on the right alone, where the target sees nothing."""
    points = IMAGES.clone()
    points[0, :, :, 0] -= 0.3
    points[1, :, :, 1] -= 0.3
    table = tried(points, [True, True, True, False]).set_index("image")
    assert table["right"].to_dict() == {7: False, 3: True, 9: True, 5: True}
    assert table["stood"].to_dict() == {7: True, 3: True, 9: True, 5: False}


def test_e29_counts_what_stood_and_fell() -> None:
    darker = IMAGES - 0.05
    found = transfer.examined(tried(darker, [True, True, False, False]))
    assert (found["verdict"], found["severity"]) == ("fail", "F")
    assert found["found"] == "of 2 that stand, 2 fall to points from 1 other places"
    assert transfer.examined(tried(darker, [True, False, False, False]))["verdict"] == "pass"
    assert transfer.examined(tried(IMAGES, [True] * 4))["verdict"] == "pass"


def test_e29_takes_each_threat_by_itself() -> None:
    """One image of four falls under each of two threats: one is within the limit, and two are not one threat's."""
    table = tried(IMAGES - 0.05, [True, False, False, False])
    both = pd.concat([table, table.assign(threat="l2")], ignore_index=True)
    found = transfer.examined(both)
    assert found["verdict"] == "pass"
    assert found["found"].startswith("under linf, of 1 that stand, 1 fall; under l2, of 1 that stand, 1 fall to points")
    worse = tried(IMAGES - 0.05, [True, True, False, False]).assign(threat="l2")
    assert transfer.examined(pd.concat([table, worse], ignore_index=True))["verdict"] == "fail"


def test_a_single_run_has_nothing_to_be_tried_with() -> None:
    target = Target("a/natural/0", accesses.kept(Bright(), MASK, Black(name="black")), rows([True] * N))
    table = transfer.tried(target, {}, LINF, BATCH)
    assert list(table.columns) == list(transfer.COLUMNS)
    assert transfer.examined(table)["verdict"] == "not applicable"
