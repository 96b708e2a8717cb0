"""Every network of the catalog: shapes, input sizes, seeds, modes, storage."""

from functools import cache
from typing import get_args

import pytest
import torch

from pixelprune import artifacts
from pixelprune.errors import ArtifactError, PixelpruneError
from pixelprune.models import robustbench, store
from pixelprune.models.catalog import Network
from pixelprune.models.network import Normalize, multiply_adds
from pixelprune.models.residual import Residual

GIVEN = {"torchvision": {"model": "resnet18"}, "robustbench": {"model": "Wong2020Fast"}}
"""Options that have no default."""
KINDS = {kind.model_fields["name"].default: kind for kind in get_args(get_args(Network)[0])}
NETWORKS = [kind(**GIVEN.get(name, {})) for name, kind in KINDS.items()]
every = pytest.mark.parametrize("options", NETWORKS, ids=lambda options: options.name)


@cache
def without_robustbench():
    """Why its networks cannot be built here; asked once, since Python keeps halves of an import that failed."""
    try:
        robustbench.zoo()
    except PixelpruneError as error:
        return str(error)
    return ""


def build(options, classes=5, seed=0):
    if options.name == "robustbench" and (reason := without_robustbench()):
        pytest.skip(reason)
    return options.build(classes, torch.Generator().manual_seed(seed)).eval()


@every
@pytest.mark.parametrize("size", [32, 48])
def test_any_input_size(options, size):
    with torch.no_grad():
        logits = build(options)(torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (2, 5) and logits.dtype == torch.float32 and logits.isfinite().all()


def test_multiply_adds_are_those_of_each_value_that_is_summed():
    grouped, linear = torch.nn.Conv2d(4, 8, 3, padding=1, groups=2), torch.nn.Linear(8, 16)
    last = torch.nn.Linear(16, 5)

    class Mixed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.grouped, self.linear, self.last = torch.nn.Conv2d(3, 4, 1), grouped, linear, last

        def forward(self, images):
            return self.last(self.linear(self.grouped(self.first(images)).permute(0, 2, 3, 1)).mean((1, 2)))

    assert multiply_adds(Mixed(), 6, 7) == 42 * (4 * 3 + 8 * 2 * 9 + 16 * 8) + 5 * 16


@every
def test_weights_come_from_the_generator_alone(options):
    one, same, other = build(options), build(options), build(options, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), same.state_dict().values()))
    assert not torch.equal(next(one.parameters()), next(other.parameters()))


@every
def test_an_image_is_classified_alike_in_any_batch(options):
    network = build(options)
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(network(images)[:1], network(images[:1]), atol=1e-4, rtol=1e-4)


@every
def test_stored_weights_come_back(options, tmp_path):
    network = build(options)
    store.save(tmp_path / "model.safetensors", network)
    loaded = store.load_into(tmp_path / "model.safetensors", build(options, seed=1))
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), loaded.state_dict().values()))


def test_weights_of_another_network_are_refused(tmp_path):
    store.save(tmp_path / "model.safetensors", build(Residual(widths=(8, 16))))
    with pytest.raises(ArtifactError, match="not the weights of this network"):
        store.load_into(tmp_path / "model.safetensors", build(Residual(widths=(8, 32))))


def test_a_file_that_is_no_safetensors_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(ArtifactError, match="not a whole safetensors file"):
        artifacts.load_tensors(tmp_path / "model.safetensors")


def test_normalize_takes_mean_and_deviation_of_each_channel():
    images = torch.randint(0, 256, (50, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    layer = Normalize()
    layer.fit(images)
    out = layer(images.float() / 255)
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(out.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)


def test_multiply_adds_by_hand():
    network = Residual(widths=(4,), blocks=1, stride=2).build(3, torch.Generator())
    first, block, last = 4 * 3 * 16 * 8 * 8, 2 * 4 * 4 * 9 * 8 * 8, 4 * 3
    assert multiply_adds(network, 16, 16) == first + block + last


def test_the_default_network_is_small():
    assert multiply_adds(build(Residual(), 10), 32, 32) <= 10_000_000
