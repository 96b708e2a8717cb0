"""What the base of all options accepts, and the value types that they share."""

from typing import Annotated

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from pixelprune.options import Key, Listed, Options, PixelDistance

KEY = TypeAdapter(Key)


class Ball(Options):
    eps: PixelDistance


class Sample(Options):
    steps: int = Field(20, ge=1)
    rate: float = 0.1
    widths: Annotated[tuple[int, ...], Listed] = (1,)


WRITTEN = [("8/255", 8 / 255), ("0.03", 0.03), ("1e-3", 1e-3), (0.03, 0.03), (1, 1.0)]


@pytest.mark.parametrize(("written", "read"), WRITTEN)
def test_a_distance_reads_as_the_literature_writes_it(written, read):
    assert Ball.model_validate({"eps": written}).eps == pytest.approx(read)


@pytest.mark.parametrize(
    "written", ["8/0", "eight", "", 0, -1, "-8/255", float("nan"), float("inf"), None, True, [1], {}]
)
def test_a_distance_refuses_what_is_none(written):
    with pytest.raises(ValidationError):
        Ball.model_validate({"eps": written})


@pytest.mark.parametrize("name", ["a", "random_50", "PGD"])
def test_a_key_is_a_word(name):
    assert KEY.validate_python(name) == name


@pytest.mark.parametrize("name", ["", "a-b", "1a", "_a", "a b", "a.b", "a/b", "..", "a\n", "ä"])
def test_a_key_is_no_path_and_joins_no_other(name):
    with pytest.raises(ValidationError):
        KEY.validate_python(name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": 1.5},
        {"steps": "20"},
        {"steps": True},
        {"stpes": 20},
        {"rate": float("nan")},
        {"rate": "1"},
    ],
)
def test_unknown_keys_silent_casts_and_nan_are_refused(wrong):
    with pytest.raises(ValidationError):
        Sample(**wrong)


def test_options_do_not_change():
    with pytest.raises(ValidationError):
        Sample().steps = 3


def test_a_list_of_yaml_becomes_a_tuple():
    assert Sample.model_validate({"widths": [1, 2]}).widths == (1, 2)
    with pytest.raises(ValidationError):
        Sample.model_validate({"widths": "12"})
