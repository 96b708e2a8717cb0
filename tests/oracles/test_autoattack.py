"""The parts of AutoAttack against the published formulas, worked out by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pixelprune.attacks.ascent import checkpoints
from pixelprune.attacks.balls import L2Ball, LinfBall
from pixelprune.attacks.losses import TARGETED, Towards, dlr, dlr_to, margin, margin_to
from pixelprune.attacks.square import Square
from pixelprune.attacks.squares import PROPOSALS, bump
from pixelprune.attacks.targets import likeliest
from pixelprune.draws import Draws


def test_the_published_checkpoints_of_100_steps() -> None:
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]


@pytest.mark.parametrize("steps", [1, 2, 5, 10, 60, 1000])
def test_checkpoints_come_ever_more_often(steps: int) -> None:
    found = checkpoints(steps)
    gaps = [later - sooner for sooner, later in zip([0, *found], found)]
    assert all(gap >= 1 for gap in gaps)
    assert gaps == sorted(gaps, reverse=True)
    assert found[-1] <= steps


def test_dlr_by_hand() -> None:
    logits = torch.tensor([[4.0, 1.0, 3.0, 0.0], [4.0, 1.0, 3.0, 0.0]])
    labels = torch.tensor([0, 2])
    assert dlr(logits, labels).tolist() == pytest.approx([-(4 - 3) / (4 - 1), -(3 - 4) / (4 - 1)])
    targets = torch.tensor([1, 3])
    assert dlr_to(logits, labels, targets).tolist() == pytest.approx([-(4 - 1) / (4 - 0.5), -(3 - 0) / (4 - 0.5)])
    assert margin_to(logits, labels, targets).tolist() == [-3.0, -3.0]


def test_neither_scale_nor_shift_of_the_logits_changes_dlr() -> None:
    rng = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(20, 7, generator=rng), torch.randint(0, 7, (20,), generator=rng)
    targets = (labels + 1) % 7
    for loss in (dlr, lambda logits, labels: dlr_to(logits, labels, targets)):
        torch.testing.assert_close(loss(100 * logits - 3, labels), loss(logits, labels), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_few_classes_take_the_margin(classes: int) -> None:
    logits, labels = torch.randn(9, classes, generator=torch.Generator().manual_seed(0)), torch.arange(9) % classes
    if classes == 2:
        assert torch.equal(dlr(logits, labels), margin(logits, labels))
    assert torch.equal(dlr_to(logits, labels, 0 * labels), margin_to(logits, labels, 0 * labels))


def test_targets_are_the_likeliest_wrong_classes() -> None:
    logits = torch.tensor([[5.0, 1.0, 3.0, 2.0], [0.0, 1.0, 3.0, 2.0]])
    assert likeliest(logits, torch.tensor([0, 1]), 2).tolist() == [[2, 3], [2, 3]]
    assert likeliest(logits, torch.tensor([0, 1]), 9).tolist() == [[2, 3, 1], [2, 3, 0]]


def test_targets_stay_with_their_images() -> None:
    logits, labels = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(5, dtype=torch.int64)
    loss, index = Towards(TARGETED["dlr"], torch.tensor([1, 2, 3, 1, 2])), torch.tensor([4, 0])
    assert torch.equal(loss.narrow(index)(logits[index], labels[index]), loss(logits, labels)[index])


def test_the_squares_shrink_as_published() -> None:
    """Of 10,000 queries the share is halved after 10, 50, 200, 500, 1000, 2000, 4000, 6000 and 8000."""
    attack = Square(queries=10_000)
    expected = {1: 1, 10: 1, 11: 2, 51: 4, 201: 8, 501: 16, 1001: 32, 2001: 64, 4001: 128, 6001: 256, 9999: 512}
    assert {query: 0.8 / attack.share_at(query) for query in expected} == expected
    assert Square(queries=5000).share_at(6) == 0.4


@pytest.mark.parametrize("ball", [LinfBall(eps=0.1), L2Ball(eps=1.0)], ids=lambda ball: ball.norm)
def test_every_window_holds_an_open_pixel_and_every_open_pixel_comes_up(ball: LinfBall | L2Ball) -> None:
    mask = torch.zeros(400, 1, 9, 7, dtype=torch.bool)
    mask[:, :, 8, 6] = mask[:, :, 2, 3] = True
    windows = PROPOSALS[ball.norm](ball, mask, 3, Draws.of(np.arange(400), 0))
    sides = torch.arange(400) % 5 + 1
    window = windows.window(sides, *windows.places(sides))
    assert torch.equal(window.sum((1, 2, 3)), sides**2)
    held = (window & mask).flatten(1)
    assert held.any(1).all()
    assert 100 < held[:, 8 * 7 + 6].sum() < 300
    assert 100 < held[:, 2 * 7 + 3].sum() < 300


def test_proposals_use_the_whole_radius_on_open_pixels() -> None:
    rng = torch.Generator().manual_seed(0)
    mask = torch.rand(8, 1, 12, 12, generator=rng) < 0.4
    for ball in (LinfBall(eps=0.1), L2Ball(eps=1.0)):
        proposals = PROPOSALS[ball.norm](ball, mask, 3, Draws.of(np.arange(8), 0))
        delta: Tensor = proposals.first()
        for share in (0.8, 0.4, 0.1):
            assert not delta[~mask.expand_as(delta)].any()
            torch.testing.assert_close(ball.length(delta), torch.full((8,), ball.eps))
            delta = proposals.next(delta, share)


def test_a_bump_is_a_hill_beside_a_valley_of_the_same_shape() -> None:
    found = bump(torch.tensor([6]), height=6, width=6)[0, 0]
    assert torch.equal(found[:, :3], -found[:, 3:])
    assert torch.equal(found, found.flip(0))
    assert (found[:, :3] > 0).all()
    assert found[2, 1] == found.max()
    placed = bump(torch.tensor([3]), height=6, width=6, row=torch.tensor([2]), column=torch.tensor([1]))[0, 0]
    assert torch.equal(placed[2:5, 1:4], bump(torch.tensor([3]), height=3, width=3)[0, 0])
    assert placed.count_nonzero() == 9


@pytest.mark.parametrize("side", [3, 5, 7, 9])
def test_a_bump_is_built_of_nested_squares_as_published(side: int) -> None:
    """eta of the reference code: square k from the middle adds 1 / k^2; ours has two halves, of which this is one."""
    half = side // 2
    shape = torch.zeros(side, half)
    for k in range(1, side // 2 + 2):
        inset = side // 2 + 1 - k
        for row in range(side):
            for column in range(half):
                depth = min(row, side - 1 - row, 2 * min(column, half - 1 - column))
                shape[row, column] += depth >= inset and 1 / k**2
    found = bump(torch.tensor([side]), height=side, width=side)[0, 0]
    torch.testing.assert_close(found[:, :half], shape)


def test_a_bump_does_not_feel_its_neighbours() -> None:
    sides = torch.tensor([3, 5, 15])
    together = bump(sides, height=16, width=16)
    for side, shape in zip(sides, together, strict=True):
        assert torch.equal(bump(side[None], height=16, width=16)[0], shape)
