"""One image of the data set `signs`: a scene, clutter, a plate in perspective, what hides it, light, lens and sensor.

Drawn at OVER times the output's side and shrunk by area, so that coverage, and with it the mask, is exact.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelprune import compat
from pixelprune.datasets import signs_plates

OVER = 4

SPREAD = (0.54, 0.84)
"""Diameter of the disc of the plate's area, as a share of the image's side."""

Random = np.random.Generator


@dataclass(frozen=True)
class Shot:
    """`image` uint8 (size, size, 3); `coverage` float32 (size, size) in [0, 1], the share of visible plate."""

    image: NDArray[np.uint8]
    coverage: NDArray[np.float32]


def shoot(random: Random, scene: NDArray[np.uint8], label: int, outline: str, size: int) -> Shot:
    """The class `label` on `outline` before the scene. Every draw is from `random`, in a fixed order."""
    cv2 = compat.cv2()
    canvas = _backdrop(random, scene, size * OVER)
    where = _placed(random, size * OVER)
    plate = cv2.warpPerspective(signs_plates.plate(label, outline), where, (size * OVER, size * OVER))
    alpha = plate[..., 3].astype(np.float32) / 255
    paint = plate[..., :3] * _weathering(random)
    canvas = canvas * (1 - alpha[..., None]) + paint
    _hide(random, canvas, alpha, where)
    canvas = cv2.resize(_lens(random, canvas, size), (size, size), interpolation=cv2.INTER_AREA)
    coverage = cv2.resize(alpha, (size, size), interpolation=cv2.INTER_AREA)
    return Shot(_sensor(random, canvas / 255, coverage), coverage)


def _backdrop(random: Random, scene: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """A part of the scene, perhaps mirrored, with some distracting shapes and the sign's post."""
    cv2 = compat.cv2()
    span = len(scene) * random.uniform(0.5, 0.95)
    left, top = random.uniform(0, len(scene) - span, 2)
    step = span / side
    view = np.array([[step, 0, left], [0, step, top]])
    if random.random() < 0.5:
        view[0] = (-step, 0, left + span - 1)
    canvas = cv2.warpAffine(scene, view, (side, side), flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR)
    for _ in range(random.integers(0, 4)):
        color = tuple(int(c) for c in random.integers(20, 235, 3))
        corners = random.uniform(0, side, 2) + random.uniform(-0.22, 0.22, (random.integers(3, 6), 2)) * side
        cv2.fillPoly(canvas, [cv2.convexHull(corners.astype(np.int32))], color)
    if random.random() < 0.6:
        tone, x = int(random.integers(70, 170)), int(side * random.uniform(0.44, 0.56))
        cv2.line(canvas, (x, side // 2), (x, side), (tone, tone, tone + 4), int(side * random.uniform(0.03, 0.06)))
    return canvas


def _placed(random: Random, side: int) -> NDArray[np.float64]:
    """The perspective from the plate's picture to the canvas, (3, 3)."""
    reach, scale = signs_plates.REACH, side * random.uniform(*SPREAD) / 2
    plane = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * reach
    turn = np.deg2rad(random.normal(0, 6))
    turned = plane @ np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))])
    slant = np.array((random.uniform(0.82, 1.06), random.uniform(0.92, 1.06)))
    jitter = random.uniform(-0.1, 0.1, (4, 2)) * reach
    room = max(0.0, 0.5 * side - 0.9 * scale)
    centre = side / 2 + np.clip(random.normal(0, 0.05 * side, 2), -room, room)
    goal = centre + scale * (turned * slant + jitter)
    source = signs_plates.to_pixels(plane)
    return compat.cv2().getPerspectiveTransform(source.astype(np.float32), goal.astype(np.float32))


def _weathering(random: Random) -> NDArray[np.float32]:
    """Gains of the plate's paint, (3,): bleached, dirty, and a little off in colour."""
    return (random.uniform(0.66, 1.05) * random.uniform(0.85, 1.1, 3)).astype(np.float32)


def _hide(random: Random, canvas: NDArray[np.float32], alpha: NDArray[np.float32], where: NDArray[np.float64]) -> None:
    """A branch or stickers over a part of the plate, in place: painted on `canvas`, cut out of `alpha`."""
    cv2, side = compat.cv2(), len(canvas)
    kind = random.random()
    if kind < 0.3:
        start = random.uniform(0, side, 2)
        start[random.integers(2)] = random.choice((0, side))
        steps = (side / 2 - start) / 5 + random.normal(0, side * 0.07, (6, 2))
        path = np.cumsum(np.vstack([start, steps]), axis=0).astype(np.int32)
        bark, leaf = random.uniform(30, 90, 3), np.array((60, 100, 40)) * random.uniform(0.4, 1.5)
        cv2.polylines(canvas, [path], False, bark, width := int(side * random.uniform(0.02, 0.045)))
        cv2.polylines(alpha, [path], False, 0.0, width)
        for x, y in path[1:].tolist():
            axes = (int(side * random.uniform(0.03, 0.09)), int(side * random.uniform(0.02, 0.05)))
            angle = random.uniform(0, 180)
            cv2.ellipse(canvas, (x, y), axes, angle, 0, 360, leaf * random.uniform(0.8, 1.2), -1)
            cv2.ellipse(alpha, (x, y), axes, angle, 0, 360, 0.0, -1)
    elif kind < 0.5:
        for _ in range(random.integers(1, 3)):
            middle = random.uniform(0.25, 0.75, 2) * side
            box = cv2.boxPoints((middle, random.uniform(0.08, 0.22, 2) * side, random.uniform(0, 180))).astype(np.int32)
            cv2.fillPoly(canvas, [box], random.uniform(30, 240, 3))
            cv2.fillPoly(alpha, [box], 0.0)


def _lens(random: Random, canvas: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Out of focus, or shaken; widths scale with the output's pixels, of a 32-pixel image."""
    cv2, pixel = compat.cv2(), len(canvas) / 32
    if random.random() < 0.75:
        return cv2.GaussianBlur(canvas, (0, 0), pixel * random.uniform(0.1, 0.9))
    length, angle = pixel * random.uniform(0.5, 3.0), random.uniform(0, np.pi)
    reach = int(np.ceil(length / 2))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    tip = np.round(reach * np.array((np.cos(angle), np.sin(angle)))).astype(int)
    cv2.line(kernel, tuple((reach - tip).tolist()), tuple((reach + tip).tolist()), 1.0)
    return cv2.filter2D(canvas, -1, kernel / kernel.sum())


def _sensor(random: Random, image: NDArray[np.float32], coverage: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Shadow, haze, exposure and noise at the output's size; values in [0, 1] become uint8."""
    size = len(image)
    across = np.linspace(-1, 1, size, dtype=np.float32)
    angle, edge = random.uniform(0, 2 * np.pi), random.uniform(-0.6, 0.6)
    side = np.cos(angle) * across[None, :] + np.sin(angle) * across[:, None]
    shadow = 1 - random.uniform(0, 0.6) / (1 + np.exp(np.float32(-random.uniform(2, 12)) * (side - edge)))
    haze = random.uniform(0, 0.4) * (random.random() < 0.5)
    image = image * shadow[..., None].astype(np.float32) * (1 - haze) + haze * random.uniform(0.4, 0.8)
    image = random.uniform(0.55, 1.15) * np.clip(image, 0, 1) ** random.uniform(0.8, 1.4) + random.uniform(-0.03, 0.06)
    tinted = image * random.uniform(0.92, 1.08, 3)
    noisy = tinted + random.normal(0, 1, image.shape) * random.uniform(0.01, 0.05)
    return np.round(np.clip(noisy, 0, 1) * 255).astype(np.uint8)
