"""The backgrounds of the data set `signs`: ten families of scenes, painted from noise of several octaves."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pixelprune import compat, sampling

SIDE = 176
"""Pixels along the side of a scene; images show a part of it."""

POOL = 12
"""Scenes a family. Images take random parts of them, mirrored, tinted and cluttered."""

Picture = NDArray[np.float32]
Random = np.random.Generator


@lru_cache(maxsize=512)
def scene(seed: int, split: str, family: str, number: int) -> NDArray[np.uint8]:
    """Scene `number` < POOL of a family, uint8 (SIDE, SIDE, 3) RGB. Painted once; no scene is in two splits."""
    random = sampling.numpy_generator(seed, "scene", split, family, number)
    picture = FAMILIES[family](random) * (1 + 0.1 * (random.random(3, dtype=np.float32) - 0.5))
    return np.clip(picture, 0, 255).astype(np.uint8)


def noise(random: Random, across: int, down: int, octaves: int = 4, side: int = SIDE) -> Picture:
    """Smooth noise, float32 (side, side, 1) in [0, 1]: octave o has 2^o times as many cells and 0.55^o the weight."""
    total = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        grid = random.random((min(side, down << octave) + 1, min(side, across << octave) + 1), dtype=np.float32)
        total += 0.55**octave * compat.cv2().resize(grid, (side, side), interpolation=compat.cv2().INTER_CUBIC)
    low, high = np.quantile(total, (0.01, 0.99))
    return np.clip((total - low) / (high - low), 0, 1)[..., None]


def _mix(low: tuple[int, ...], high: tuple[int, ...], share: Picture) -> Picture:
    return np.array(low, np.float32) * (1 - share) + np.array(high, np.float32) * share


def _rows() -> Picture:
    return np.linspace(0, 1, SIDE, dtype=np.float32)[:, None, None] * np.ones((1, SIDE, 1), np.float32)


def _below(random: Random, level: float, rough: float, cells: int = 3) -> Picture:
    """1 under a ragged horizon around `level` of the height, 0 over it."""
    line = level + rough * (noise(random, cells, 1)[:1] - 0.5)
    return np.clip((_rows() - line) * SIDE, 0, 1)


def _sky(random: Random) -> Picture:
    blue = _mix((70, 130, 205), (176, 208, 238), _rows())
    clouds = np.clip(noise(random, 2, 3) * 2.2 - 0.9 - 0.4 * random.random(), 0, 1)
    return blue + (246 - blue) * clouds


def _sunset(random: Random) -> Picture:
    glow = _mix((92, 70, 128), (250, 160, 84), np.clip(_rows() * 1.25 + 0.35 * (noise(random, 1, 5) - 0.5), 0, 1))
    skyline = np.repeat(0.55 + 0.4 * random.random(22, dtype=np.float32), 8)[:SIDE]
    return np.where(_rows() > skyline[None, :, None], np.array((44, 34, 48), np.float32), glow)


def _hills(random: Random) -> Picture:
    picture = _mix((150, 190, 226), (226, 232, 236), _rows())
    for level, color in ((0.35, (122, 142, 168)), (0.5, (92, 120, 124)), (0.68, (78, 108, 66))):
        ridge = _below(random, level + 0.1 * random.random(), 0.3)
        picture += (_mix(color, tuple(int(c * 0.7) for c in color), noise(random, 8, 8)) - picture) * ridge
    return picture


def _field(random: Random) -> Picture:
    crop = _mix((128, 118, 40), (214, 190, 92), noise(random, 6, 24))
    return _sky(random) * (1 - (ground := _below(random, 0.25 + 0.2 * random.random(), 0.06))) + crop * ground


def _forest(random: Random) -> Picture:
    leaves = _mix((18, 36, 14), (112, 150, 54), noise(random, 10, 10, 5) ** 1.4)
    for x in random.integers(0, SIDE - 14, 3):
        width = int(random.integers(5, 14))
        leaves[:, x : x + width] = _mix((40, 28, 20), (96, 74, 54), noise(random, 12, 3))[:, :width]
    return leaves


def _snow(random: Random) -> Picture:
    picture = _mix((196, 208, 226), (248, 249, 252), noise(random, 4, 7))
    for x in random.integers(0, SIDE - 6, 5):
        picture[: int(SIDE * (0.5 + 0.4 * random.random())), x : x + int(random.integers(2, 6))] = (74, 66, 64)
    return picture


def _street(random: Random) -> Picture:
    picture = _mix((62, 62, 66), (124, 122, 120), 0.6 * noise(random, 40, 40, 3) + 0.4 * noise(random, 3, 3))
    cv2 = compat.cv2()
    for _ in range(2):
        start, end = (int(random.integers(0, SIDE)), 0), (int(random.integers(0, SIDE)), SIDE)
        cv2.line(picture, start, end, (214, 210, 196), int(random.integers(3, 9)))
    return picture


def _brick(random: Random) -> Picture:
    height, width = int(random.integers(9, 14)), int(random.integers(20, 32))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    shifted = columns + (rows // height % 2) * (width // 2)
    tone = random.random((SIDE // height + 1, (SIDE + width) // width + 1), dtype=np.float32)
    wall = _mix((112, 50, 38), (184, 104, 80), tone[rows // height, shifted // width][..., None])
    mortar = ((rows % height < 2) | (shifted % width < 2))[..., None]
    return np.where(mortar, np.float32(168), wall) * (0.8 + 0.3 * noise(random, 30, 30, 2))


def _facade(random: Random) -> Picture:
    picture = _mix((150, 138, 120), (218, 206, 182), np.float32(random.random()) + 0.2 * (noise(random, 3, 3) - 0.5))
    high, wide = int(random.integers(28, 44)), int(random.integers(24, 40))
    for top in range(int(random.integers(0, 12)), SIDE, high):
        for left in range(int(random.integers(0, 6)), SIDE, wide):
            glass = 40 + 110 * random.random() * random.random()
            picture[top : top + high - 12, left : left + wide - 10] = 232
            picture[top + 2 : top + high - 14, left + 2 : left + wide - 12] = (glass, glass + 14, glass + 30)
    return picture


def _rock(random: Random) -> Picture:
    cracks = np.abs(2 * noise(random, 5, 5) - 1) ** 0.5
    return _mix((64, 54, 46), (186, 168, 146), cracks * (0.5 + 0.5 * noise(random, 12, 12)))


FAMILIES: dict[str, Callable[[Random], Picture]] = {
    "sky": _sky,
    "sunset": _sunset,
    "hills": _hills,
    "field": _field,
    "forest": _forest,
    "snow": _snow,
    "street": _street,
    "brick": _brick,
    "facade": _facade,
    "rock": _rock,
}
