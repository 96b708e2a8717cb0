"""Counts the passes of a module that a peer attacks, and finds out what the peer did to it."""

import torch
from torch import Tensor, nn

from pixelprune.attacks.balls import Ball

TOLERANCE = {"linf": 1e-6, "l2": 1e-5}
"""By how much float32 rounding may carry an image out of its ball."""


class CountedModule(nn.Module):
    """The network, and how many images passed it: forward, and backward where a gradient of the logits arrived."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.passed = {"forward": 0, "backward": 0}
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        self.passed["forward"] += len(images)
        logits: Tensor = self.network(images)
        if logits.requires_grad:
            logits.register_hook(self._book)
        return logits

    def _book(self, grad: Tensor) -> None:
        self.passed["backward"] += len(grad)


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers, copied."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def assert_untouched(network: nn.Module, before: dict[str, Tensor], peer: str) -> None:
    """Raises AssertionError where a peer left a module in train mode, or other weights or buffers than it found."""
    training = [name or "the model" for name, module in network.named_modules() if module.training]
    assert not training, f"{peer} left {training[0]} in train mode ({len(training)} modules): its result is void"
    after = network.state_dict()
    moved = [name for name, value in before.items() if not torch.equal(value, after[name])]
    assert not moved, f"{peer} changed {moved[0]} ({len(moved)} tensors): its result is void"


def assert_inside(points: Tensor, images: Tensor, ball: Ball, mask: Tensor | None, whose: str) -> None:
    """Raises AssertionError where points, float32 (N, C, H, W), leave the ball, [0, 1] or the mask (N, 1, H, W)."""
    assert points.shape == images.shape and points.dtype == images.dtype, f"{whose}: {points.dtype} {points.shape}"
    assert bool(points.isfinite().all()), f"{whose} returned values that are not finite"
    low, high = float(points.min()), float(points.max())
    assert low >= 0 and high <= 1, f"{whose} left [0, 1]: {low:.8f} to {high:.8f}"
    longest = float(ball.length(points - images).max())
    limit = ball.eps + TOLERANCE[ball.norm]
    assert longest <= limit, f"{whose} left the {ball.norm} ball: {longest:.8f}, eps {ball.eps:.8f}"
    if mask is not None:
        assert bool(((points == images) | mask).all()), f"{whose} wrote outside of the mask"
