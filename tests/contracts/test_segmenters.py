"""Every segmenter keeps the promises of SegmenterOptions: shape, range, row by row, annotation for oracles only."""

from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from pixelprune.datasets.signs import Signs
from pixelprune.errors import DataError
from pixelprune.segmenters import catalog
from pixelprune.segmenters.segmenter import SegmenterOptions

MEMBERS = get_args(get_args(catalog.Segmenter)[0])
LABEL_FREE = [member for member in MEMBERS if not member.oracle]
IDS = np.arange(40, 52)


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    _, test, _ = Signs(name="signs", train=10, test=12, validation=0).read(lambda items, text: items)
    return test.images


@pytest.fixture(params=MEMBERS, ids=lambda member: member.__name__)
def segmenter(request: pytest.FixtureRequest) -> SegmenterOptions:
    name = get_args(request.param.model_fields["name"].annotation)[0]
    member: SegmenterOptions = request.param(name=name)
    return member


@pytest.fixture
def annotation(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.random.default_rng(0).random(images.shape[:3]) < 0.5


def test_shape_range_and_input_unchanged(segmenter, images, annotation):
    before = images.copy()
    segments = segmenter(images, IDS, annotation)
    assert segments.dtype == np.float32
    assert segments.shape == images.shape[:3]
    assert 0 <= segments.min() <= segments.max() <= 1
    assert np.array_equal(images, before)


def test_same_input_same_output(segmenter, images, annotation):
    first = segmenter(images, IDS, annotation)
    assert np.array_equal(first, segmenter(images, IDS, annotation))


def test_a_row_knows_nothing_of_batch_and_order(segmenter, images, annotation):
    whole = segmenter(images, IDS, annotation)
    order = np.random.default_rng(1).permutation(len(images))
    assert np.array_equal(whole[order], segmenter(images[order], IDS[order], annotation[order]))
    assert np.array_equal(whole[:1], segmenter(images[:1], IDS[:1], annotation[:1]))
    assert np.array_equal(whole[:0], segmenter(images[:0], IDS[:0], annotation[:0]))


@pytest.mark.parametrize("value", [0, 255])
def test_an_image_of_one_colour_is_survived(segmenter, value):
    flat = np.full((2, 32, 32, 3), value, np.uint8)
    segments = segmenter(flat, np.arange(2), np.zeros((2, 32, 32), bool))
    assert np.isfinite(segments).all()


@pytest.mark.parametrize("size", [(8, 8), (24, 40), (64, 64)])
def test_any_size(segmenter, size):
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    assert segmenter(images, np.arange(2), np.zeros((2, *size), bool)).shape == (2, *size)


@pytest.mark.parametrize("member", LABEL_FREE, ids=lambda member: member.__name__)
def test_annotation_is_for_oracles(member, images, annotation):
    segmenter = member(name=get_args(member.model_fields["name"].annotation)[0])
    assert np.array_equal(segmenter(images, IDS, annotation), segmenter(images, IDS, None))


def test_the_oracle_needs_annotation(images):
    with pytest.raises(DataError, match="has no foreground masks"):
        catalog.Annotation(name="annotation")(images, IDS, None)
