"""The parts of AutoAttack against the published formulas, worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from pixelprune.attacks.ascent import checkpoints
from pixelprune.attacks.balls import L2Ball, LinfBall
from pixelprune.attacks.losses import TARGETED, Towards, dlr, dlr_to, margin, margin_to
from pixelprune.attacks.square import Square
from pixelprune.attacks.squares import PROPOSALS, L2Squares, bump
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


def published(side: int) -> Tensor:
    """eta of the authors' code, by its loops: a hill above a valley."""
    shape = torch.zeros(side, side)
    for first, size, sign in ((0, side // 2, 1), (side // 2, side - side // 2, -1)):
        part = torch.zeros(size, side)
        for counter in range(max(size, side) // 2 + 1):
            top, left = size // 2 - counter, side // 2 - counter
            part[max(top, 0) : top + 2 * counter + 1, max(left, 0) : left + 2 * counter + 1] += 1 / (counter + 1) ** 2
        shape[first : first + size] = sign * part / part.norm()
    return shape / shape.norm()


@pytest.mark.parametrize("side", [2, 3, 5, 6, 7, 9, 32])
def test_a_bump_is_the_published_one_upright_and_turned(side: int) -> None:
    two = bump(torch.tensor([side, side]), height=side, width=side, turned=torch.tensor([False, True]))[:, 0]
    torch.testing.assert_close(two[0], published(side))
    torch.testing.assert_close(two[1], published(side).T)


def test_a_bump_lies_in_its_window_and_does_not_feel_its_neighbours() -> None:
    sides, row, column = torch.tensor([3, 5, 15]), torch.tensor([2, 0, 1]), torch.tensor([1, 11, 0])
    turned = torch.tensor([True, False, True])
    together = bump(sides, height=16, width=16, turned=turned, row=row, column=column)
    for side, top, left, way, shape in zip(sides, row, column, turned, together[:, 0], strict=True):
        expected = torch.zeros(16, 16)
        expected[top : top + side, left : left + side] = published(int(side)).T if way else published(int(side))
        torch.testing.assert_close(shape, expected)


class Preset(L2Squares):
    """Windows as they are told: the first for the new bump, the second gives up its length."""

    def __init__(self, ball: L2Ball, mask: Tensor, places: list[tuple[int, int]], signs: list[list[float]]) -> None:
        super().__init__(ball, mask, 3, Draws.of(np.arange(1), 0))
        self.told = iter([(torch.tensor([row]), torch.tensor([column])) for row, column in places])
        answers = iter(signs)
        self.draws = SimpleNamespace(signs=lambda *shape: torch.tensor(next(answers)).view(1, *shape))  # type: ignore[assignment]

    def places(self, sides: Tensor) -> tuple[Tensor, Tensor]:
        return next(self.told)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("given", [(6, 5), (2, 2)], ids=["apart", "overlapping"])
def test_an_l2_proposal_is_the_published_one(turned: bool, given: tuple[int, int]) -> None:
    """By the authors' lines: a color has a bump and its old window, each of length 1, and its part of what is spare."""
    eps, side, signs = 0.8, 5, [1.0, -1.0, -1.0]
    delta = torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    delta *= 0.7 * eps / delta.norm()
    mask = torch.ones(1, 1, 12, 12, dtype=torch.bool)
    found = Preset(L2Ball(eps=eps), mask, [(1, 0), given], [[1.0 if turned else -1.0], signs]).next(
        delta, side**2 / 144
    )

    new, shape = delta[0].clone(), published(side).T if turned else published(side)
    mine, other = (
        (slice(None), slice(row, row + side), slice(column, column + side)) for row, column in ((1, 0), given)
    )
    both = torch.zeros(3, 12, 12)
    both[mine], both[other] = 1, 1
    old = new[mine] / new[mine].norm(dim=(1, 2), keepdim=True)
    bumps = shape * torch.tensor(signs).view(3, 1, 1) + old
    length = ((eps**2 - new.norm() ** 2) / 3 + (new * both).square().sum((1, 2), keepdim=True)).sqrt()
    new[other] = 0
    new[mine] = bumps / bumps.norm(dim=(1, 2), keepdim=True) * length
    torch.testing.assert_close(found[0], new / new.norm() * eps)


def test_l2_squares_begin_with_a_grid_of_published_bumps() -> None:
    mask = torch.ones(2, 1, 32, 32, dtype=torch.bool)
    found = L2Squares(L2Ball(eps=1.0), mask, 3, Draws.of(np.arange(2), 0)).first()
    shape, ways = published(6) / 75**0.5, set()
    for image in found:
        assert image.norm() == pytest.approx(1)
        for row in range(1, 31, 6):
            for column in range(1, 31, 6):
                tile = image[:, row : row + 6, column : column + 6]
                turned = not torch.allclose(tile[0].abs(), shape.abs())
                ways.add(turned)
                one = shape.T if turned else shape
                assert all(torch.allclose(color, one) or torch.allclose(color, -one) for color in tile)
    assert ways == {False, True}
    assert not found[:, :, [0, 31]].any() and not found[:, :, :, [0, 31]].any()
