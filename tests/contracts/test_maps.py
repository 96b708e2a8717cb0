"""What every map promises, over all members of the catalog and both values of every switch they have."""

from importlib.util import find_spec
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from pixelprune.errors import ArtifactError
from pixelprune.maps import class_gradient, many_gradients
from pixelprune.maps.catalog import Map
from pixelprune.maps.map import MapOptions, Source

MEMBERS = get_args(get_args(Map)[0])
READS = {"nothing": "data/raw", "foreground": "data/segments/s", "model": "models/none/natural/0"}
BY_ID = {
    "random-per_image", "redrawn", "shifted", "blobs", "blurred_random", "smoothgrad", "smoothgrad-squared", "vargrad",
    "rise-per_image", "captum",
}  # fmt: skip
"""The variants whose map depends on the image's id."""
PIECEWISE = {"blobs", "captum"}
"""Dynamic, but without a gradient; their files say so."""

HEIGHT, WIDTH = 12, 10
IDS = np.array([10, 3, 7, 99, 4, 1000])


def variants() -> list:
    """Every member as it comes, and with each of its switches turned."""
    found = []
    for member in MEMBERS:
        (name,) = get_args(member.model_fields["name"].annotation)
        base = {"name": name, "reads": READS[member.needs]} | ({"masks": 50} if "masks" in member.model_fields else {})
        absent = pytest.mark.skipif(name == "captum" and not find_spec("captum"), reason="captum is not installed")
        found.append(pytest.param(member(**base), id=name, marks=absent))
        for switch, field in member.model_fields.items():
            if isinstance(field.default, bool):
                turned = member(**base, **{switch: not field.default})
                found.append(pytest.param(turned, id=f"{name}-{switch}"))
    return found


every = pytest.mark.parametrize("member", variants())


def foreground(images, ids):
    return torch.sigmoid(20 * (images[:, 0] - images[:, 1]))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """16 images: a chunk is filled up, and would be with a thousand of these small ones."""
    monkeypatch.setattr(many_gradients, "CHUNK", 16 * HEIGHT * WIDTH)


@pytest.fixture(scope="module")
def images():
    return torch.rand(len(IDS), 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.Softplus(4), nn.Conv2d(8, 4, 3, stride=2), nn.Tanh(), nn.Flatten(),
            nn.LazyLinear(5),
        ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def source(network, images):
    network(images)
    training = np.random.default_rng(3).integers(0, 256, (40, HEIGHT, WIDTH, 3), dtype=np.uint8)

    def make(member: MapOptions) -> Source:
        return Source(
            foreground=foreground if member.needs == "foreground" else None,
            model=network if member.needs == "model" else None,
            state=member.fit(training),
        )

    return make


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_is_named_as_its_file(member):
    (name,) = get_args(member.model_fields["name"].annotation)
    assert member.__module__ == f"pixelprune.maps.{name}"


@every
def test_a_finite_float32_map_of_every_image(member, images, source):
    maps = member(images, IDS, source(member))
    assert maps.shape == (len(IDS), HEIGHT, WIDTH)
    assert maps.dtype == torch.float32
    assert maps.half().isfinite().all()
    assert not maps.requires_grad


@every
def test_same_call_same_bytes_and_nothing_else_is_touched(member, images, source):
    before = images.clone()
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - it must stay as it is
    first = member(images, IDS, source(member))
    with torch.no_grad():
        second = member(images.clone(), IDS.copy(), source(member))
    assert torch.equal(first, second)
    assert torch.equal(images, before)
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002


@every
def test_the_other_images_of_the_call_do_not_matter(member, images, source, monkeypatch):
    given = source(member)
    together = member(images, IDS, given)
    alone = torch.cat([member(images[i : i + 1], IDS[i : i + 1], given) for i in range(len(IDS))])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)
    order = np.array([4, 1, 5])
    torch.testing.assert_close(member(images[order], IDS[order], given), together[order], atol=1e-5, rtol=0)
    for module in (class_gradient, many_gradients):
        monkeypatch.setattr(module, "CHUNK", 2 * HEIGHT * WIDTH)
    torch.testing.assert_close(member(images, IDS, given), together, atol=1e-5, rtol=0)


@every
def test_no_images_give_no_maps(member, images, source):
    assert member(images[:0], IDS[:0], source(member)).shape == (0, HEIGHT, WIDTH)


@every
def test_ids_matter_only_where_the_member_says_so(member, images, source, request):
    given = source(member)
    first, second = member(images, IDS, given), member(images, IDS + 1, given)
    named = request.node.callspec.id in BY_ID
    assert torch.equal(first, second) != named
    if hasattr(member, "seed"):
        other = member.model_copy(update={"seed": 1})(images, IDS, given)
        assert not torch.equal(first, other)


@every
def test_static_maps_do_not_depend_on_pixels_and_dynamic_ones_do(member, images, source):
    given = source(member)
    same = torch.equal(member(images, IDS, given), member(images.flip(1) * 0.7, IDS, given))
    assert same == (member.behaviour != "dynamic")


@every
def test_flat_and_extreme_images_have_finite_maps(member, source):
    flat = torch.stack([torch.full((3, HEIGHT, WIDTH), value) for value in (0.0, 0.5, 1.0)])
    checker = torch.from_numpy(np.indices((HEIGHT, WIDTH)).sum(0) % 2).float().expand(1, 3, -1, -1)
    maps = member(torch.cat([flat, checker]), IDS[:4], source(member))
    assert maps.half().isfinite().all()


@every
def test_a_region_is_what_foregrounds_have(member, images, source):
    assert member.has_region == (member.needs == "foreground")
    if member.has_region:
        maps = member(images, IDS, source(member))
        assert maps.min() >= 0
        assert maps.max() <= 1


@every
def test_gradients_pass_through_dynamic_maps(member, images, source):
    points = images.clone().requires_grad_()
    maps = member(points, IDS, source(member))
    if member.behaviour != "dynamic" or member.name in PIECEWISE:
        assert not maps.requires_grad
        return
    weights = torch.rand(maps.shape, generator=torch.Generator().manual_seed(5))
    (gradient,) = torch.autograd.grad((weights * maps).sum(), points)
    assert gradient.isfinite().all()
    assert (gradient.flatten(1).abs().sum(1) > 0).all()
    flat = torch.full_like(images, 0.5).requires_grad_()
    assert torch.autograd.grad(member(flat, IDS, source(member)).sum(), flat)[0].isfinite().all()


@every
def test_what_is_needed_and_missing_is_named(member, images, source):
    if member.needs == "nothing" and not source(member).state:
        assert member(images, IDS, Source()).shape == (len(IDS), HEIGHT, WIDTH)
        return
    with pytest.raises(ArtifactError, match=r"reads|fitted"):
        member(images, IDS, Source())


@every
def test_a_state_of_another_image_size_is_refused(member, source):
    given = source(member)
    if given.state:
        with pytest.raises(ArtifactError, match=r"fitted to images of shape"):
            member(torch.zeros(1, 3, 8, 8), IDS[:1], given)


@every
def test_options_come_back_from_json(member):
    assert type(member).model_validate_json(member.model_dump_json()) == member


@pytest.mark.parametrize("member", [each for each in MEMBERS if each.needs != "nothing"])
def test_a_path_of_the_wrong_kind_is_refused(member):
    (name,) = get_args(member.model_fields["name"].annotation)
    for path in ("data/raw", "/etc/passwd", "data/segments/../x", "models/none/natural/0/..", "models/a-b/c/0"):
        with pytest.raises(ValueError, match="must be a path such as"):
            member(name=name, reads=path)
