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
    wanted = rise.abs()
    rates = torch.stack([(speed * pace).flatten(1), (speed * room).flatten(1)], 1)
    flat_pace, flat_room = pace.flatten(1), room.flatten(1)
    total, limit = rates.sum(2).unbind(1)
    time = wanted / total.clamp(min=TINY)
    free = flat_room > -1
    for _ in range(MOST_STEPS):
        before, free = free, time[:, None] * flat_pace < flat_room
        if torch.equal(free, before):
            break
        slope, ahead = torch.bmm(rates, free[:, :, None].to(rates.dtype)).squeeze(2).unbind(1)
        later = (wanted - (limit - ahead)) / slope.clamp(min=TINY)
        time = torch.where(slope > 0, torch.maximum(later, time), torch.inf)
    reach = torch.where(pace > 0, time.view(-1, 1, 1, 1) * pace, 0)
    return towards * torch.minimum(reach, room)
