"""The outline of a traffic sign, fitted to colour and edges, without the label.

Candidates are six shapes in every size and place of a grid around the centre. A candidate's score is the sum of
 - edges: mean over points of the outline of n'Jn / (tr J + s), where J is the structure tensor of the colours, n the
   outline's normal and s 2 % of the image's mean tr J: 1 if a clear edge runs along all of the outline, else 0;
 - colour: the share of the colours' scatter that inside and outside explain, d'C^-1 d * p (1 - p), where d is the
   difference of their mean colours, C the covariance of all colours, p the candidate's area (Fisher's discriminant);
 - size: larger ones are preferred a little, since the inner edge of a rim looks like an outline, too.
The segment is the mean of the candidates, weighted by exp(score / TEMPERATURE).

Source: structure tensor: Förstner and Gülch 1987; discriminant: Fisher 1936; the combination is ours.
"""

from functools import lru_cache
from itertools import product
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from pixelprune import compat
from pixelprune.segmenters.segmenter import SegmenterOptions

WORK = 32
"""Images are fitted at WORK x WORK pixels, whatever their size: a sign's outline has no finer detail."""

SIZES = tuple(np.geomspace(0.74, 1.26, 6))
SHIFTS = tuple(np.linspace(-0.08, 0.08, 5))
ASPECTS = (0.86, 1.0)
POINTS = 48
OVER = 4

COLOR, LARGER, OFF, TEMPERATURE = 0.5, 0.4, 0.3, 0.025
"""Weights of colour, of the logarithm of the size and of the distance from the centre; chosen on rendered signs."""

Points = NDArray[np.float64]


class Outline(SegmenterOptions):
    """Fits circles, octagons, squares, diamonds and triangles to colours and edges."""

    name: Literal["outline"]
    share: Annotated[
        float,
        Field(ge=0.2, le=1, description="expected diameter of the sign (of the disc of its area); 1 = the image's"),
    ] = 0.74

    def __call__(
        self, images: NDArray[np.uint8], ids: NDArray[np.int64], annotation: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        cv2, (height, width) = compat.cv2(), images.shape[1:3]
        candidates = _candidates(self.share)
        segments = np.empty(images.shape[:3], np.float32)
        for i, image in enumerate(images):
            segment = _fitted(image, candidates).reshape(WORK, WORK)
            segments[i] = cv2.resize(segment, (width, height), interpolation=cv2.INTER_LINEAR)
        return segments.clip(0, 1)


class Candidates(NamedTuple):
    """K candidates over WORK^2 pixels."""

    cover: NDArray[np.float32]
    """(K, WORK^2): share of each pixel inside."""
    edges: Any
    """Sparse (K, 3 WORK^2): mean of n'Jn over the outline, from the maps Jxx, Jxy, Jyy one after the other."""
    bonus: NDArray[np.float64]
    """(K,): what a candidate scores before the image is seen."""


def _fitted(image: NDArray[np.uint8], candidates: Candidates) -> NDArray[np.float32]:
    """Foreground probability, float32 (WORK^2,)."""
    cv2 = compat.cv2()
    small = image if image.shape[:2] == (WORK, WORK) else cv2.resize(image, (WORK, WORK), interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(small, (0, 0), 0.7).astype(np.float32) / 255
    score = candidates.bonus + candidates.edges @ _structure(smooth) + COLOR * _separation(smooth, candidates.cover)
    weight = np.exp((score - score.max()) / TEMPERATURE).astype(np.float32)
    return weight @ candidates.cover / weight.sum()


def _structure(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """J / (tr J + s) of all three colours: Jxx, Jxy, Jyy, float32 (3 WORK^2,). 0 for an image of one colour."""
    cv2 = compat.cv2()
    x, y = cv2.Sobel(image, -1, 1, 0) / 8, cv2.Sobel(image, -1, 0, 1) / 8
    tensor = np.stack([(x * x).sum(2), (x * y).sum(2), (y * y).sum(2)])
    trace = tensor[0] + tensor[2]
    return (tensor / (trace + 0.02 * trace.mean() + 1e-8)).ravel()


def _separation(image: NDArray[np.float32], cover: NDArray[np.float32]) -> NDArray[np.float64]:
    """Share of the colours' scatter that lies between inside and outside of each candidate, (K,) in [0, 1]."""
    colors = image.reshape(-1, 3) - image.mean(axis=(0, 1))
    covariance = colors.T.astype(np.float64) @ colors / len(colors) + 1e-5 * np.eye(3)
    share = cover.mean(axis=1, dtype=np.float64).clip(0.001, 0.999)[:, None]  # a candidate may cover everything
    total = (cover @ colors) / len(colors)  # the outside's is the same with the other sign
    difference = total / share + total / (1 - share)
    return (share[:, 0] * (1 - share[:, 0])) * np.sum(difference @ np.linalg.inv(covariance) * difference, axis=1)


def _ring(sides: int, radius: float, turn: float) -> Points:
    angles = np.deg2rad(turn + 360 * np.arange(sides) / sides)
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


SHAPES = {
    "circle": _ring(48, 1.0, 0),
    "octagon": _ring(8, 1.05, 22.5),
    "square": _ring(4, 1.25, 45),
    "diamond": _ring(4, 1.25, 0),
    "triangle": _ring(3, 1.5, -90),
    "inverted": _ring(3, 1.5, 90),
}
"""Corners around the centroid, y down, with about the area of the unit disc."""


@lru_cache(maxsize=4)
def _candidates(share: float) -> Candidates:
    cover, points, normals, bonus = [], [], [], []
    for corners, size, x, y, aspect in product(SHAPES.values(), SIZES, SHIFTS, SHIFTS, ASPECTS):
        centred = corners - (corners.min(axis=0) + corners.max(axis=0)) / 2
        polygon = (centred * (aspect, 1) * size * share / 2 + 0.5 + (x, y)) * WORK - 0.5
        cover.append(_covered(polygon))
        place, normal = _sampled(polygon)
        points.append(place)
        normals.append(normal)
        bonus.append(LARGER * np.log(size) - OFF * np.hypot(x, y))
    return Candidates(np.stack(cover), _edge_means(np.stack(points), np.stack(normals)), np.array(bonus))


def _covered(polygon: Points) -> NDArray[np.float32]:
    cv2 = compat.cv2()
    large = np.zeros((WORK * OVER, WORK * OVER), np.uint8)
    cv2.fillPoly(large, [np.round((polygon + 0.5) * OVER - 0.5).astype(np.int32)], 255)
    return cv2.resize(large, (WORK, WORK), interpolation=cv2.INTER_AREA).ravel().astype(np.float32) / 255


def _sampled(polygon: Points) -> tuple[Points, Points]:
    """POINTS places along the polygon at equal distances, and the unit normals there; both (POINTS, 2)."""
    sides = np.roll(polygon, -1, axis=0) - polygon
    lengths = np.linalg.norm(sides, axis=1)
    ends = np.cumsum(lengths)
    along = (np.arange(POINTS) + 0.5) / POINTS * ends[-1]
    side = np.searchsorted(ends, along, side="right")
    step = sides[side] / lengths[side, None]
    places = polygon[side] + step * (along - ends[side] + lengths[side])[:, None]
    return places, np.stack([step[:, 1], -step[:, 0]], axis=1)


def _edge_means(points: NDArray[np.float64], normals: NDArray[np.float64]) -> Any:
    """Candidates.edges from places and normals, both (K, POINTS, 2); places outside of the image count 0."""
    pixels = np.round(points).astype(int)
    inside = ((pixels >= 0) & (pixels < WORK)).all(axis=2)
    columns = np.clip(pixels[..., 1], 0, WORK - 1) * WORK + np.clip(pixels[..., 0], 0, WORK - 1)
    rows = np.repeat(np.arange(len(points)), POINTS)
    x, y = normals[..., 0], normals[..., 1]
    blocks = [
        sparse.csr_matrix(((inside * part / POINTS).ravel().astype(np.float32), (rows, columns.ravel())),
                          (len(points), WORK * WORK))
        for part in (x * x, 2 * x * y, y * y)
    ]  # fmt: skip
    return sparse.hstack(blocks).tocsr()
