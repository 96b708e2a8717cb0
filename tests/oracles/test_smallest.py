"""The smallest eps of each image, on a linear model, where it is known."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pixelprune.attacks.fgsm import FGSM
from pixelprune.attacks.noise import Noise
from pixelprune.attacks.pgd import PGD
from pixelprune.attacks.threat import Threat
from pixelprune.harness import smallest
from pixelprune.harness.accesses import Access
from pixelprune.harness.ladder import Batch

N, SIZE = 40, 6
LARGEST = 8 / 255
LADDER = {"noise": Noise(draws=1), "fgsm": FGSM(), "pgd": PGD(steps=5)}


def linear() -> tuple[Access, Batch, Tensor]:
    """A linear model behind a mask, images well inside of [0, 1], and the eps at which each is wrong."""
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(3, SIZE, SIZE, generator=rng)
    mask = torch.rand(N, 1, SIZE, SIZE, generator=rng) < 0.7
    images = 0.4 + 0.2 * torch.rand(N, 3, SIZE, SIZE, generator=rng)
    reach = (weight * mask).abs().sum((1, 2, 3))
    wanted = torch.linspace(-0.2, 1.2, N) * LARGEST
    offset = wanted * reach - (images * weight).sum((1, 2, 3))

    class Model:
        def __init__(self, offset: Tensor) -> None:
            self.offset = offset

        def __call__(self, images: Tensor) -> Tensor:
            score = (images * weight).sum((1, 2, 3)) + self.offset
            return torch.stack([torch.zeros_like(score), score], 1)

        def narrow(self, index: Tensor) -> "Model":
            return Model(self.offset[index])

    ids = np.arange(100, 100 + N)
    batch = Batch(images, torch.ones(N, dtype=torch.int64), ids, ids // 2, examples=N)
    return Access("kept", Model(offset), mask), batch, wanted


def test_the_radius_is_the_closed_form_on_the_grid() -> None:
    access, batch, wanted = linear()
    table = smallest.measure(batch, access, {"linf": Threat(eps=(LARGEST / 2, LARGEST))}, LADDER, seed=0)
    step = LARGEST / smallest.STEPS
    grid = torch.where(wanted <= 0, 0, torch.ceil(wanted / step - 1e-3) * step)
    grid = torch.where(grid > LARGEST * (1 + 1e-6), torch.inf, grid)
    torch.testing.assert_close(torch.tensor(table["radius"].to_numpy()).float(), grid, atol=1e-6, rtol=0)
    assert table["image"].tolist() == batch.ids.tolist()
    assert table["group"].tolist() == batch.groups.tolist()
    assert set(table["access"]) == {"kept"} and set(table["largest"]) == {LARGEST}
    assert (table["backward"] > 0).equals(table["radius"] > 0)


def test_threats_have_rows_of_their_own() -> None:
    access, batch, _ = linear()
    access, few = replace(access, model=access.model.narrow(torch.arange(4)), mask=access.mask[:4]), batch.first(4)  # type: ignore[attr-defined]
    threats = {"linf": Threat(eps=(LARGEST,)), "l2": Threat(norm="l2", eps=(0.5,), headline=0.5)}
    table = smallest.measure(few, access, threats, LADDER, seed=0)
    assert table.groupby("threat")["image"].count().to_dict() == {"linf": 4, "l2": 4}
    assert dict(zip(table["threat"], table["norm"], strict=True)) == {"linf": "linf", "l2": "l2"}
