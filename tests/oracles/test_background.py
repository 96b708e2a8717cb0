"""Another budget on the background: the optimum on linear models, and the pictures that virtual ones stand for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pixelprune.attacks.threat import Threat
from pixelprune.fills.black import Black
from pixelprune.harness.background import Stretched, measure
from pixelprune.harness.ladder import Batch
from pixelprune.pruning import PrunedModel

N, SIZE, EPS = 12, 6, 8 / 255


def pictures() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(N, 3, SIZE, SIZE, generator=rng)
    kept = torch.rand(N, 1, SIZE, SIZE, generator=rng) < 0.5
    return images, kept


def logits(images: Tensor) -> Tensor:
    return images.flatten(1)[:, :2]


@pytest.mark.parametrize("times", [1.0, 4.0, 40.0])
def test_a_virtual_picture_stands_for_each_change_within_both_budgets(times: float) -> None:
    images, kept = pictures()
    stretched = Stretched(logits, images, kept, times)
    assert torch.equal(stretched.actual(stretched.start), images)
    rng = torch.Generator().manual_seed(1)
    delta = EPS * (2 * torch.rand(images.shape, generator=rng) - 1)
    wanted = (images + torch.where(kept, delta, times * delta)).clamp(0, 1)
    virtual = (stretched.start + delta).clamp(0, 1)
    torch.testing.assert_close(stretched.actual(virtual), wanted)
    if times * EPS > 1:  # any picture can stand behind the kept pixels
        other = torch.rand(images.shape, generator=rng)
        virtual = torch.where(kept, images, stretched.start + (other - images) / times)
        torch.testing.assert_close(stretched.actual(virtual), torch.where(kept, images, other))
        assert (virtual - stretched.start).abs().max() <= EPS


@pytest.mark.parametrize("times", [1.0, 3.0])
def test_the_range_of_virtual_pictures_is_as_wide_as_that_of_pictures(times: float) -> None:
    """Under l2 one pixel may take a whole budget."""
    images, kept = pictures()
    stretched = Stretched(logits, images, kept, times)
    for end in (0.0, 1.0):
        reached = stretched.actual(torch.full_like(images, end))
        assert (reached == end).all()


def test_a_gradient_reaches_pixels_that_the_range_has_stopped() -> None:
    images, kept = torch.zeros(1, 3, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.bool)
    virtual = (Stretched(logits, images, kept, 2.0).start - EPS).requires_grad_()
    actual = Stretched(logits, images, kept, 2.0).actual(virtual)
    assert not actual.any()
    (grad,) = torch.autograd.grad(actual.sum(), virtual)
    assert torch.equal(grad, torch.full_like(grad, 2.0))


class Linear(nn.Module):
    """Logits (0, w.x + b)."""

    def __init__(self, weight: Tensor, offset: float) -> None:
        super().__init__()
        self.weight, self.offset = nn.Parameter(weight, requires_grad=False), offset

    def forward(self, images: Tensor) -> Tensor:
        score = (images * self.weight).sum((1, 2, 3)) + self.offset
        return torch.stack([torch.zeros_like(score), score], 1)


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.0015), ("l2", 0.015)])
def test_what_stands_is_the_closed_form_and_a_static_mask_is_blind_to_the_background(
    tmp_path: Path, norm: str, eps: float
) -> None:
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(3, SIZE, SIZE, generator=rng)
    images, _ = pictures()
    images = 0.45 + 0.1 * images
    half = torch.zeros(1, 1, SIZE, SIZE, dtype=torch.bool)
    half[..., : SIZE // 2] = True
    kept = half.expand(N, -1, -1, -1)
    scores = (images * weight).sum((1, 2, 3))
    network = Linear(weight, float(0.3 - scores.median()))
    labels = network(images).argmax(1)
    ids = np.arange(N)

    def rank(images: Tensor, ids: object) -> Tensor:
        return half[:, 0].float().expand(len(images), -1, -1)

    table = measure(
        Batch(images, labels, ids, ids, examples=0), kept, PrunedModel(network, rank, 0.5, Black(name="black")), None,
        network, {"t": Threat.model_validate({"norm": norm, "eps": (eps,)})}, times=(1.0, 3.0), steps=30, queries=50,
        seed=0, folder=tmp_path,
    )  # fmt: skip
    assert set(table["threat"]) == {"t"} and table["adv_margin"].notna().all()
    order = 1 if norm == "linf" else 2
    for times in (1.0, 3.0):
        part = table[(table.background == times) & (table.access == "full")]
        stretch = torch.where(half[0], 1.0, times)
        reach = eps * (weight * stretch).flatten().norm(p=order)
        margin = reach - network(images)[:, 1].abs()
        found = torch.tensor(part["adv_margin"].to_numpy())
        stands = margin < 0
        assert 0 < stands.sum() < N
        assert torch.equal(found > 0, ~stands)
        torch.testing.assert_close(found[stands], margin[stands], atol=2e-3, rtol=1e-2)
    of_pruned = table[table.access == "adaptive"].groupby(["background", "attack"])["adv_margin"].apply(list)
    assert of_pruned[1.0, "straight_through"] == pytest.approx(of_pruned[3.0, "straight_through"], abs=1e-4)
