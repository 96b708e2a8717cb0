"""The built-in data set against what its docstring says, and segmenters and IoU against shapes that are known."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pixelprune.datasets import signs_camera, signs_plates, signs_scenes
from pixelprune.datasets.signs import CLASSES, Signs
from pixelprune.datasets.split import Split
from pixelprune.segmenters.grabcut import GrabCut
from pixelprune.segmenters.outline import SHAPES, Outline
from pixelprune.segmenters.overlap import iou


def read(**options: object) -> tuple[Split, Split]:
    train, test, _ = Signs.model_validate({"name": "signs", "validation": 0, **options}).read(lambda items, text: items)
    return train, test


@pytest.fixture(scope="module")
def sets() -> tuple[Split, Split]:
    return read(train=200, test=60)


def test_a_larger_set_begins_with_the_smaller_one(sets):
    for large, small in zip(sets, read(train=50, test=25), strict=True):
        for name in ("images", "masks", "labels", "ids"):
            assert np.array_equal(getattr(large, name)[: len(small)], getattr(small, name)), name


def test_a_seed_is_the_whole_of_chance(sets):
    same, other = read(train=20, test=10), read(train=20, test=10, seed=1)
    assert np.array_equal(sets[0].images[:20], same[0].images)
    assert (same[0].images != other[0].images).mean() > 0.9


def test_parts_share_nothing(sets):
    train, test = sets
    assert not set(train.ids) & set(test.ids)
    assert not {image.tobytes() for image in train.images} & {image.tobytes() for image in test.images}
    one, other = (signs_scenes.scene(0, part, "sky", 0) for part in ("train", "test"))
    assert (one != other).mean() > 0.5


def test_every_ten_images_hold_every_class(sets):
    for part in sets:
        assert (np.sort(part.labels.reshape(-1, len(CLASSES)), axis=1) == np.arange(len(CLASSES))).all()


def test_foreground_is_a_fifth_to_a_half(sets):
    shares = sets[0].masks.mean(axis=(1, 2))
    assert 0.25 < shares.mean() < 0.4
    assert 0.08 < shares.min() < shares.max() < 0.65


def _table(tie: str, value: float, count: int = 6000) -> NDArray[np.int64]:
    """How often each class (row) met each outline or family of scenes (column)."""
    options = Signs.model_validate({"name": "signs", tie: value})
    which = ["outline_tie", "background_tie"].index(tie)
    names = list([signs_plates.OUTLINES, signs_scenes.FAMILIES][which])
    table = np.zeros((len(CLASSES), len(names)), np.int64)
    for i in range(count):
        table[i % len(CLASSES), names.index(options.drawn("train", i, i % len(CLASSES))[which])] += 1
    return table


@pytest.mark.parametrize("tie", ["outline_tie", "background_tie"])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_ties_have_the_strength_that_they_say(tie, value):
    table = _table(tie, value)
    names = list(signs_plates.OUTLINES if tie == "outline_tie" else signs_scenes.FAMILIES)
    own = [names.index(kind.outline if tie == "outline_tie" else kind.scene) for kind in signs_plates.CLASSES]
    wanted = np.full(table.shape, (1 - value) / len(names))
    wanted[np.arange(len(own)), own] += value
    wanted *= table.sum(axis=1, keepdims=True)
    assert table[wanted == 0].sum() == 0
    possible = wanted > 0
    statistic = ((table - wanted)[possible] ** 2 / wanted[possible]).sum()
    freedom = possible.sum() - len(CLASSES)
    assert statistic <= freedom + 4 * np.sqrt(2 * freedom)  # chi-square, four standard deviations


def test_scenes_are_told_apart_by_class_only_if_tied():
    assert len({kind.scene for kind in signs_plates.CLASSES}) == len(CLASSES) == len(signs_scenes.FAMILIES)
    assert {kind.outline for kind in signs_plates.CLASSES} == set(signs_plates.OUTLINES)


@pytest.mark.parametrize("outline", signs_plates.OUTLINES)
def test_a_plate_covers_its_outline(outline):
    corners = np.array(signs_plates.OUTLINES[outline])
    x, y = corners.T
    area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    drawn = signs_plates.plate(0, outline)[..., 3].mean() / 255 * (2 * signs_plates.REACH) ** 2
    assert area == pytest.approx(drawn, rel=0.02)
    assert area == pytest.approx(np.pi, rel=0.1)


def test_classes_differ_on_every_outline():
    for outline in signs_plates.OUTLINES:
        plates = [signs_plates.plate(label, outline).astype(int) for label in range(len(CLASSES))]
        for i, one in enumerate(plates):
            for other in plates[:i]:
                assert (np.abs(one - other).max(axis=2) > 60).mean() > 0.02


def test_the_mask_is_where_the_plate_changes_the_image(monkeypatch):
    """The same draws with a black and with a white plate, without blur and noise: only visible plate can differ."""
    monkeypatch.setattr(signs_camera, "_lens", lambda random, canvas, size: canvas)
    monkeypatch.setattr(signs_camera, "_sensor", lambda random, image, coverage: image)
    scene = signs_scenes.scene(0, "test", "brick", 0)
    opaque = signs_plates.plate(3, "diamond")
    for i in range(20):
        shots = []
        for tone in (0, 255):
            painted = np.dstack([opaque[..., 3:] * (tone // 255)] * 3 + [opaque[..., 3:]])
            monkeypatch.setattr(signs_plates, "plate", lambda label, outline, painted=painted: painted)
            shots.append(signs_camera.shoot(np.random.default_rng(i), scene, 3, "diamond", 32))
        change, coverage = (shots[1].image - shots[0].image).mean(axis=2), shots[0].coverage
        gain = (change * coverage).sum() / (coverage * coverage).sum()
        assert np.array_equal(coverage, shots[1].coverage)
        assert gain > 0.4
        np.testing.assert_allclose(change, gain * coverage, atol=1e-4)


def _shape(name: str, noise: float = 0.0) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A red shape before a mottled green ground, 32 x 32, and its mask."""
    corners = SHAPES[name] - (SHAPES[name].min(axis=0) + SHAPES[name].max(axis=0)) / 2
    large = np.zeros((256, 256), np.uint8)
    cv2.fillPoly(large, [np.round((corners * 0.35 + 0.5) * 256 - 0.5).astype(np.int32)], 255)
    cover = cv2.resize(large, (32, 32), interpolation=cv2.INTER_AREA)[..., None] / 255
    ground = np.array((60, 140, 70)) + np.random.default_rng(3).normal(0, 6, (32, 32, 3))
    return (cover * (200, 40, 40) + (1 - cover) * ground).round().astype(np.uint8), cover[..., 0] > 0.5


@pytest.mark.parametrize("segmenter", [GrabCut(name="grabcut"), Outline(name="outline")], ids=["grabcut", "outline"])
def test_a_clean_disc_is_found(segmenter):
    image, mask = _shape("circle")
    assert iou(segmenter(image[None], np.array([5]), None), mask[None])[0] > 0.9


@pytest.mark.parametrize("name", SHAPES)
def test_outline_finds_every_shape(name):
    image, mask = _shape(name)
    assert iou(Outline(name="outline")(image[None], np.array([5]), None), mask[None])[0] > 0.88


@pytest.mark.parametrize("share", [0.2, 0.9, 1.0])
def test_outline_of_any_share_is_a_probability(sets, share):
    images = sets[1].images[:4]
    segments = Outline(name="outline", share=share)(images, np.arange(4), None)
    assert np.isfinite(segments).all()
    assert (segments > 0.5).any(axis=(1, 2)).all()


@pytest.mark.parametrize("share", [0.01, 1.0])
@pytest.mark.parametrize("prior", ["box", "centre"])
def test_grabcut_of_any_share_ends(sets, prior, share):
    images = sets[1].images[:4]
    segments = GrabCut(name="grabcut", prior=prior, share=share, core=0)(images, np.arange(4), None)
    assert (segments > 0.5).any(axis=(1, 2)).all()


def test_segmenters_beat_their_priors(sets):
    _, test = sets
    everything = np.ones(test.masks.shape)
    assert iou(Outline(name="outline")(test.images, test.ids, None), test.masks).mean() > 0.72
    assert iou(GrabCut(name="grabcut")(test.images, test.ids, None), test.masks).mean() > 0.6
    assert iou(everything, test.masks).mean() < 0.4


def test_iou_by_hand():
    probability = np.array([[[1, 1], [0, 0]], [[0, 0], [0, 0]], [[0.5, 0.6], [0, 0]], [[1, 0], [0, 0]]])
    annotation = np.array([[[1, 0], [1, 0]], [[0, 0], [0, 0]], [[0, 1], [0, 0]], [[0, 0], [0, 1]]], bool)
    assert iou(probability, annotation).tolist() == [1 / 3, 1.0, 1.0, 0.0]
