"""The keep rule against a sort by hand; pruned models against the bare model."""

import json
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import TypeAdapter

from pixelprune import params, sampling
from pixelprune.errors import ArtifactError, ParamsError
from pixelprune.fills.catalog import Fill
from pixelprune.maps.centre import Centre
from pixelprune.maps.constant import Constant
from pixelprune.maps.map import Source
from pixelprune.maps.random import Random
from pixelprune.pruning import FrozenModel, PrunedModel, Strategy, keep_mask, pack, unpack

FILLS = [
    member(name=get_args(member.model_fields["name"].annotation)[0]).fitted(np.full((1, 2, 2, 3), 90, np.uint8))
    for member in get_args(get_args(Fill)[0])
]
every_fill = pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill.name)
reading_nothing = pytest.mark.parametrize(
    "fill", [fill for fill in FILLS if fill.reads == "nothing"], ids=lambda fill: fill.name
)
STATIC = [
    Constant(name="constant", reads="data/raw"),
    Random(name="random", reads="data/raw"),
    Random(name="random", reads="data/raw", per_image=True),
    Centre(name="centre", reads="data/raw"),
]


def rand(*shape, seed=1):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3, stride=2), torch.nn.ReLU(),
            torch.nn.Flatten(), torch.nn.Linear(8 * 5 * 6, 4),
        ).eval().requires_grad_(False)  # fmt: skip


def ranked_by(member):
    return lambda images, ids: member(images, ids, Source())


# The keep rule

rankings = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=7),
    elements=st.sampled_from([-0.0, 0.0, 1.0, -1.0, 0.5, 0.50001, 1e-8, -3e4, 6e4]) | st.floats(-9, 9, width=32),
)


@given(rankings, st.floats(0.01, 1), st.integers(0, 3))
def test_exactly_the_share_and_never_a_worse_pixel_than_a_dropped_one(ranking, keep, seed):
    mask = keep_mask(ranking, keep, seed)
    size = ranking[0].size
    assert mask.dtype == bool
    assert (mask.sum((1, 2)) == max(round(keep * size), 1)).all()
    stored = ranking.astype(np.float16).astype(np.float64).reshape(len(ranking), -1)
    ties = sampling.numpy_generator(seed, "ties").permutation(size)
    for values, kept in zip(stored, mask.reshape(len(ranking), -1)):
        best_first = sorted(range(size), key=lambda pixel: (-values[pixel], -ties[pixel]))
        assert set(best_first[: kept.sum()]) == set(np.flatnonzero(kept))


@given(rankings, st.floats(0.01, 1) | st.just("own"))
def test_the_stored_map_gives_the_same_mask(ranking, keep):
    stored = ranking.astype(np.float16)
    assert np.array_equal(keep_mask(stored, keep), keep_mask(ranking, keep))
    assert np.array_equal(keep_mask(stored.astype(np.float64), keep), keep_mask(ranking, keep))


@pytest.mark.parametrize("keep", [0.001, 0.1, 0.25, 1 / 3, 0.5, 0.75, 0.999, 1, 1.0])
def test_count_of_every_share(keep):
    for ranking in (
        np.zeros((3, 32, 32)),
        rand(3, 32, 32).numpy(),
        np.tile(np.arange(1024.0).reshape(32, 32), (3, 1, 1)),
    ):
        assert (keep_mask(ranking, keep).sum((1, 2)) == max(round(keep * 1024), 1)).all()


def test_ties_do_not_favour_a_place():
    mask = keep_mask(np.zeros((2, 40, 40), np.float32), 0.5)
    assert np.array_equal(mask[0], mask[1])
    for half in (mask[0, :20], mask[0, :, :20], mask[0, ::2], mask[0, :, ::2]):
        assert half.mean() == pytest.approx(0.5, abs=0.06)  # sd 0.0125
    assert not np.array_equal(mask, keep_mask(np.zeros((2, 40, 40), np.float32), 0.5, seed=1))


def test_larger_shares_contain_smaller_ones():
    ranking = np.round(rand(4, 9, 9).numpy() * 5)
    small, large = keep_mask(ranking, 0.3), keep_mask(ranking, 0.6)
    assert (large | ~small).all()


def test_own_keeps_what_float16_holds_above_one_half():
    ranking = np.array([[[0.5, 0.5001, 0.502], [1.0, 0.0, 0.49]]], np.float32)
    assert keep_mask(ranking, "own").tolist() == [[[False, False, True], [True, False, False]]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e6])
@pytest.mark.parametrize("keep", [0.5, 1, "own"])
def test_what_float16_cannot_order_is_refused(value, keep):
    ranking = np.zeros((2, 3, 3), np.float32)
    ranking[1, 2, 0] = value
    with pytest.raises(ValueError, match="1 values that are not finite"):
        keep_mask(ranking, keep)


def test_images_do_not_matter_to_each_other_at_any_size():
    ranking = rand(3, 300, 301).numpy()  # more pixels than 16 bits count
    together = keep_mask(ranking, 0.5)
    assert (together.sum((1, 2)) == round(0.5 * 300 * 301)).all()
    assert all(np.array_equal(keep_mask(ranking[i : i + 1], 0.5)[0], together[i]) for i in range(3))
    assert keep_mask(ranking[:0], 0.5).shape == (0, 300, 301)


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=9)))
def test_masks_come_back_from_their_bits(mask):
    packed = pack(mask)
    assert packed.shape == (len(mask), -(-mask[0].size // 8))
    assert packed.dtype == np.uint8
    assert np.array_equal(unpack(packed, *mask.shape[1:]), mask)


def test_bits_of_another_size_are_refused():
    with pytest.raises(ArtifactError, match="2 bytes an image"):
        unpack(pack(np.ones((1, 4, 4), bool)), 5, 4)


# Pruned models


@every_fill
def test_keep_1_is_the_bare_model_bit_for_bit(network, fill):
    images = rand(6, 3, 12, 14)
    pruned = PrunedModel(network, ranked_by(STATIC[0]), 1, fill)
    assert torch.equal(pruned(images), network(images))
    assert pruned.mask(images).all()


@reading_nothing
@pytest.mark.parametrize("keep", [0.1, 0.5])
@pytest.mark.parametrize("member", STATIC, ids=lambda member: f"{member.name}-{getattr(member, 'per_image', '')}")
def test_a_static_mask_answers_only_what_is_kept(network, fill, keep, member):
    """logits(x + delta) = logits(x + m * delta), bit for bit."""
    images, delta = rand(6, 3, 12, 14), rand(6, 3, 12, 14, seed=2) - 0.5
    ids = np.arange(100, 106)
    pruned = PrunedModel(network, ranked_by(member), keep, fill)
    mask = pruned.mask(images, ids)
    assert torch.equal(pruned(images + delta, ids), pruned(images + mask * delta, ids))
    assert torch.equal(pruned(images + delta, ids), pruned.frozen(mask)(images + delta))
    assert not torch.equal(pruned(images + delta, ids), pruned(images, ids))


def test_a_linear_model_sees_the_kept_pixels_alone():
    weight, images = rand(3, 5, 5, seed=3), rand(4, 3, 5, 5).requires_grad_()
    mask = torch.from_numpy(keep_mask(rand(4, 5, 5, seed=4).numpy(), 0.4))[:, None]
    frozen = FrozenModel(lambda x: (x * weight).flatten(1).sum(1, keepdim=True), mask, FILLS[0])
    (gradient,) = torch.autograd.grad(frozen(images).sum(), images)
    assert torch.equal(gradient, mask * weight)
    torch.testing.assert_close(frozen(images)[:, 0], (images * mask * weight).sum((1, 2, 3)))


@every_fill
def test_a_frozen_model_narrows_with_its_images(network, fill):
    images = rand(6, 3, 12, 14)
    frozen = FrozenModel(network, rand(6, 1, 12, 14, seed=2) < 0.5, fill)
    for index in (torch.tensor([4, 0, 2]), torch.tensor([True, False, True, True, False, False])):
        torch.testing.assert_close(frozen.narrow(index)(images[index]), frozen(images)[index])
    with pytest.raises(ValueError, match="5 images for 6 frozen masks"):
        frozen(images[:5])


def test_the_mask_follows_the_image_and_is_no_part_of_the_graph(network):
    def brightness(images, ids):
        assert not images.requires_grad
        return images.mean(1)

    images = rand(3, 3, 12, 14).requires_grad_()
    pruned = PrunedModel(network, brightness, 0.5, FILLS[0])
    assert torch.equal(pruned.mask(images)[:, 0], torch.from_numpy(keep_mask(images.mean(1).detach().numpy(), 0.5)))
    assert not torch.equal(pruned.mask(images), pruned.mask(images.flip(3)))
    (gradient,) = torch.autograd.grad(pruned(images).sum(), images)
    assert (gradient[~pruned.mask(images).expand_as(gradient)] == 0).all()


def test_images_without_ids_are_known_by_their_position():
    images = rand(5, 3, 12, 14)
    pruned = PrunedModel(lambda x: x, ranked_by(Random(name="random", reads="data/raw", per_image=True)), 0.5, FILLS[0])
    assert torch.equal(pruned.mask(images), pruned.mask(images, np.arange(5)))
    assert not torch.equal(pruned.mask(images), pruned.mask(images, np.arange(5) + 1))


# Options


def test_short_and_long_form_of_a_fill():
    assert params.validated({"map": "a", "keep": 1, "fill": "blur"}, Strategy).fill.sigma == 3
    assert (
        params.validated({"map": "a", "keep": "own", "fill": {"name": "blur", "sigma": 2.0}}, Strategy).fill.sigma == 2
    )
    assert params.validated({"map": "a", "keep": 0.5}, Strategy).fill.name == "black"


@pytest.mark.parametrize("keep", [0, 1.01, -0.5, "onw", True, None, [0.5], float("nan")])
def test_a_keep_that_is_no_share_is_named(keep):
    with pytest.raises(ParamsError) as caught:
        params.validated({"map": "a", "keep": keep}, Strategy, "strategies.fg.")
    expected = (
        'params.yaml: 1 to fix\n  strategies.fg.keep: must be a share in (0, 1], or "own" for the region of the map '
        f"itself, found {'nothing' if keep is None else repr(keep)}"
    )
    assert str(caught.value) == expected


def test_mistakes_in_a_fill_are_named():
    with pytest.raises(ParamsError, match=r"strategies\.fg\.fill\.name: no such name 'blak'.*did you mean 'black'\?"):
        params.validated({"map": "a", "keep": 1, "fill": "blak"}, Strategy, "strategies.fg.")
    with pytest.raises(ParamsError, match=r"strategies\.fg\.fill\.sigma: .*found -1"):
        params.validated({"map": "a", "keep": 1, "fill": {"name": "blur", "sigma": -1}}, Strategy, "strategies.fg.")


def test_a_strategy_comes_back_from_json():
    for fill in FILLS:
        strategy = Strategy(map="a", keep=0.5, fill=fill)
        assert Strategy.model_validate(json.loads(strategy.model_dump_json())) == strategy
        assert TypeAdapter(Fill).validate_python(fill.model_dump(mode="json")) == fill
