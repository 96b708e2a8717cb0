"""Points from elsewhere: drawn into the ball and the mask, kept only where they are worse."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pixelprune.attacks.balls import Ball, L2Ball, LinfBall
from pixelprune.attacks.losses import margin
from pixelprune.attacks.replayed import Replayed
from pixelprune.attacks.transferred import Transferred
from pixelprune.draws import Draws

N, LABELS = 4, torch.ones(4, dtype=torch.int64)


def model(images: Tensor) -> Tensor:
    """Right while the pixels are bright."""
    score = images.sum((1, 2, 3)) - 2
    return torch.stack([torch.zeros_like(score), score], 1)


@pytest.mark.parametrize("ball", [LinfBall(eps=0.1), L2Ball(eps=0.2)], ids=lambda ball: ball.norm)
def test_a_point_is_drawn_into_the_ball_and_the_mask(ball: Ball) -> None:
    images = torch.full((N, 1, 2, 4), 0.5)
    points = 0.3 * torch.rand(N, 1, 2, 4, generator=torch.Generator().manual_seed(0))
    points[:, :, :, 0] = 0.45 - 0.02 * torch.arange(N).view(N, 1, 1)  # each its own, also in the ball
    points[3] = 0.9  # easier: not kept
    mask = torch.ones(N, 1, 2, 4, dtype=torch.bool)
    mask[1, :, 0] = False
    draws = Draws.of(np.arange(N), 0)
    found = Replayed(points)(model, images, LABELS, ball=ball, mask=mask, draws=draws)
    length = ball.length(found - images)
    torch.testing.assert_close(length[:3], torch.full((3,), ball.eps), atol=1e-5, rtol=0)
    assert torch.equal(found[1, :, 0], images[1, :, 0])
    assert torch.equal(found[3], images[3])
    assert (margin(model(found), LABELS)[:3] > margin(model(images), LABELS)[:3]).all()
    index = torch.tensor([2, 1])
    part = Replayed(points).narrow(index)(
        model, images[index], LABELS[index], ball=ball, mask=mask[index], draws=draws.narrow(index)
    )
    assert torch.equal(part, found[index])


def test_what_a_saved_result_depends_on_are_the_points() -> None:
    dumps = [Replayed(torch.full((1, 1, 2, 2), value)).model_dump(mode="json")["points"] for value in (0.0, 0.0, 0.1)]
    assert dumps[0] == dumps[1] != dumps[2]


def test_a_model_that_answers_by_chance_is_not_asked() -> None:
    """Points that it likes better than the images are returned too: their judge draws anew."""
    images, mask = torch.full((N, 1, 2, 4), 0.5), torch.ones(N, 1, 2, 4, dtype=torch.bool)
    mask[1, :, 0] = False
    options = {"ball": LinfBall(eps=0.1), "mask": mask, "draws": Draws.of(np.arange(N), 0)}
    found = Replayed(torch.ones(N, 1, 2, 4), unasked=True).narrow(torch.arange(N))(_silent, images, LABELS, **options)
    torch.testing.assert_close(found, torch.where(mask, 0.6, 0.5))
    away = Transferred(model, Replayed(torch.zeros(N, 1, 2, 4)), unasked=True).narrow(torch.arange(N))
    torch.testing.assert_close(away(_silent, images, LABELS, **options), torch.where(mask, 0.4, 0.5))


def _silent(images: Tensor) -> Tensor:
    raise AssertionError("asked")
