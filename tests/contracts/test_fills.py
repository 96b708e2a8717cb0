"""What every fill promises, over all members of the catalog."""

import json
from typing import get_args

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from pixelprune.fills.catalog import Fill

MEMBERS = get_args(get_args(Fill)[0])
SHAPE = (6, 3, 11, 14)


def fitted(member):
    (name,) = get_args(member.model_fields["name"].annotation)
    training = np.random.default_rng(0).integers(0, 200, (5, 11, 14, 3), dtype=np.uint8)
    return member(name=name).fitted(training)


every = pytest.mark.parametrize("fill", [pytest.param(fitted(member), id=member.__name__) for member in MEMBERS])


@pytest.fixture
def images():
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def mask():
    """Random shares, one image with nothing kept, one with everything, one with a single pixel."""
    shares = torch.tensor([0.5, 0.1, 0.9, 0.0, 1.0, 0.0])[:, None, None, None]
    mask = torch.rand(SHAPE[0], 1, *SHAPE[2:], generator=torch.Generator().manual_seed(2)) < shares
    mask[5, 0, 4, 6] = True
    return mask


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_is_named_as_its_file(member):
    (name,) = get_args(member.model_fields["name"].annotation)
    assert member.__module__ == f"pixelprune.fills.{name}"


@every
def test_kept_pixels_are_bit_identical_and_the_rest_is_an_image(fill, images, mask):
    before = images.clone()
    filled = fill(images, mask)
    kept = mask.expand(SHAPE)
    assert filled.shape == SHAPE
    assert filled.dtype == torch.float32
    assert torch.equal(filled[kept], images[kept])
    assert filled.min() >= 0
    assert filled.max() <= 1
    assert torch.equal(images, before)


@every
@pytest.mark.parametrize("value", [0.0, 1.0, float("nan"), float("inf"), -1e30, "random"])
def test_dropped_pixels_are_never_read(fill, images, mask, value):
    other = torch.rand(SHAPE, generator=torch.Generator().manual_seed(3)) if value == "random" else torch.tensor(value)
    assert torch.equal(fill(torch.where(mask, images, other), mask), fill(images, mask))


@every
def test_dropped_pixels_get_no_gradient(fill, images, mask):
    weights = torch.rand(SHAPE, generator=torch.Generator().manual_seed(4)) + 0.1
    points = torch.where(mask, images, torch.nan).requires_grad_()
    (gradient,) = torch.autograd.grad((weights * fill(points, mask)).sum(), points)
    kept = mask.expand(SHAPE)
    assert (gradient[~kept] == 0).all()
    assert gradient.isfinite().all()
    passes_only_kept = fill.reads == "nothing" or not fill.differentiable
    assert torch.equal(gradient, weights * kept) == passes_only_kept


@every
def test_a_fill_reads_what_it_says(fill, images, mask):
    dropped = ~mask.expand(SHAPE)
    same = torch.equal(fill(images, mask)[dropped], fill(images.flip(1) * 0.5, mask)[dropped])
    assert same == (fill.reads == "nothing")


@every
def test_same_call_same_bytes_without_a_global_draw(fill, images, mask):
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - it must stay as it is
    assert torch.equal(fill(images, mask), fill(images.clone(), mask.clone()))
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002


@every
def test_the_other_images_of_the_call_do_not_matter(fill, images, mask):
    together = fill(images, mask)
    alone = torch.cat([fill(images[i : i + 1], mask[i : i + 1]) for i in range(len(images))])
    torch.testing.assert_close(alone, together, atol=1e-6, rtol=0)
    order = [5, 0, 3]
    torch.testing.assert_close(fill(images[order], mask[order]), together[order], atol=1e-6, rtol=0)


@every
def test_no_images(fill, images, mask):
    assert fill(images[:0], mask[:0]).shape == (0, *SHAPE[1:])


@every
def test_a_fill_comes_back_from_its_card(fill):
    stored = json.loads(json.dumps(fill.model_dump(mode="json")))
    assert TypeAdapter(Fill).validate_python(stored) == fill
