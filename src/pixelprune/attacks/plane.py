"""The nearest point of a plane inside the pixel range, in a ball's own distance."""

import torch
from torch import Tensor

from pixelprune.attacks.balls import Ball

MOST_STEPS = 50
TINY = 1e-30


def onto_plane(points: Tensor, weight: Tensor, rise: Tensor, ball: Ball) -> Tensor:
    """The smallest delta, in the norm of the ball, with weight . delta = rise and points + delta in [0, 1].

    points, weight float32 (N, C, H, W); rise float32 (N,). Where the range does not let the plane be reached, the delta
    that comes nearest to it. Zero where weight is.

    Each coordinate moves with a pace of its own until it meets the border, and what all of them have gained together is
    a concave, piecewise linear function of time: Newton's method finds the time exactly, from below, in a few steps.
    """
    speed = weight.abs()
    towards = weight.sign() * rise.sign().view(-1, 1, 1, 1)
    room = torch.where(towards > 0, 1 - points, points) * (speed > 0)
    pace = ball.pace(speed)
    wanted, gain, limit = rise.abs().double(), (speed * pace).double(), (speed * room).double()
    time = wanted / gain.sum((1, 2, 3)).clamp(min=TINY)
    for _ in range(MOST_STEPS):
        free = time.view(-1, 1, 1, 1) * pace < room
        slope = (gain * free).sum((1, 2, 3))
        later = (wanted - (limit * ~free).sum((1, 2, 3))) / slope.clamp(min=TINY)
        later = torch.where(slope > 0, torch.maximum(later, time), torch.inf)
        if torch.equal(later, time):
            break
        time = later
    reach = torch.where(pace > 0, time.view(-1, 1, 1, 1) * pace, 0)
    return towards * torch.minimum(reach, room).to(points.dtype)
