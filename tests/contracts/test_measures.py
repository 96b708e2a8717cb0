"""What every measure promises, over all members of the catalog, on a tiny run."""

import json
from typing import Any, get_args

import numpy as np
import pandas
import pytest
import torch
from torch import nn

from pixelprune.measures.catalog import Measure
from pixelprune.measures.measure import Measured, MeasureOptions, Subject
from tests.oracles.shared_subject import subject

MEMBERS = get_args(get_args(Measure)[0])
CHEAP: dict[str, dict[str, Any]] = {
    "probabilistic": {
        "images": 6, "sampled": 3, "gamma": 0.2, "delta": 0.2, "alpha": 0.1, "attack": {"name": "pgd", "steps": 3},
    },
    "psi": {"images": 4, "steps": 3, "stability": True},
    "surface": {"images": 2, "side": 5},
}  # fmt: skip
"""Options that make a member fast; others get few images."""


def named(member: type[MeasureOptions]) -> str:
    name: str = get_args(member.model_fields["name"].annotation)[0]
    return name


def options(member: type[MeasureOptions]) -> MeasureOptions:
    return member.model_validate_json(json.dumps({"name": named(member), **CHEAP.get(named(member), {"images": 3})}))


every = pytest.mark.parametrize("member", MEMBERS, ids=named)


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3),
        )  # fmt: skip


def run(**changes: Any) -> Subject:
    return subject(network(), **changes)


@pytest.fixture(scope="module")
def found() -> dict[str, Measured]:
    return {named(member): options(member)(run()) for member in MEMBERS}


@pytest.mark.parametrize("member", MEMBERS, ids=named)
def test_a_member_is_named_as_its_file(member: type[MeasureOptions]) -> None:
    assert member.__module__ == f"pixelprune.measures.{named(member)}"
    member.model_validate({"name": named(member)})


@every
def test_the_summary_is_json_and_every_number_of_it_finite(
    member: type[MeasureOptions], found: dict[str, Measured]
) -> None:
    summary = found[named(member)].summary
    assert summary
    assert json.loads(json.dumps(summary, allow_nan=False, sort_keys=True)) == summary


@every
def test_tables_and_pictures_can_be_kept(member: type[MeasureOptions], found: dict[str, Measured]) -> None:
    measured = found[named(member)]
    for name, table in measured.tables.items():
        assert len(table), name
        assert table.columns.is_unique and all(isinstance(column, str) for column in table)
        if "image" in table:
            assert table["image"].dtype == np.int64
            assert set(table["image"]) <= set(run().test.ids.tolist())
    for name, shown in measured.pictures.items():
        assert shown.dtype == np.uint8, name
        assert shown.ndim == 2 or (shown.ndim == 3 and shown.shape[2] == 3)
        assert shown.size


@every
def test_the_same_run_gives_the_same_and_nothing_is_touched(
    member: type[MeasureOptions], found: dict[str, Measured]
) -> None:
    given = run()
    weights = {name: value.clone() for name, value in given.network.state_dict().items()}
    images, labels, mask = given.test.images.clone(), given.test.labels.clone(), given.test.mask.clone()
    torch.manual_seed(5)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - it must stay as it is
    again, first = options(member)(given), found[named(member)]
    assert again.summary == first.summary
    assert again.tables.keys() == first.tables.keys() and again.pictures.keys() == first.pictures.keys()
    for name, table in again.tables.items():
        pandas.testing.assert_frame_equal(table, first.tables[name], check_exact=True)
    for name, shown in again.pictures.items():
        assert np.array_equal(shown, first.pictures[name])
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002
    assert not any(module.training for module in given.network.modules())
    assert all(value.grad is None and not value.requires_grad for value in given.network.parameters())
    assert all(torch.equal(value, weights[name]) for name, value in given.network.state_dict().items())
    assert torch.equal(given.test.images, images) and torch.equal(given.test.labels, labels)
    assert torch.equal(given.test.mask, mask)
    assert not any(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in given.network.modules())


@every
@pytest.mark.parametrize("changes", [{"oracle": True}, {"keep": 1.0}, {"norm": "l2", "eps": 0.5}], ids=str)
def test_every_kind_of_run_has_an_answer(member: type[MeasureOptions], changes: dict[str, Any]) -> None:
    json.dumps(options(member)(run(**changes)).summary, allow_nan=False)


@every
def test_a_constant_network_has_an_answer(member: type[MeasureOptions]) -> None:
    constant = network()
    last = constant[-1]
    assert isinstance(last, nn.Linear)
    last.weight.data.zero_()
    json.dumps(options(member)(subject(constant)).summary, allow_nan=False)


@every
def test_it_looks_at_no_more_images_than_asked(member: type[MeasureOptions], found: dict[str, Measured]) -> None:
    first = set(run().test.ids[: options(member).images].tolist())
    for table in found[named(member)].tables.values():
        if "image" in table:
            assert set(table["image"]) <= first
