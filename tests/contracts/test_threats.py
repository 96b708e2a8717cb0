"""Threats as params.yaml states them."""

import pytest

from pixelprune.attacks.balls import L2Ball, LinfBall
from pixelprune.attacks.threat import Threat
from pixelprune.errors import ParamsError
from pixelprune.params import validated


def test_reads_ratios_and_gives_balls() -> None:
    threat = validated({"norm": "linf", "eps": ["2/255", "4/255", "8/255"], "headline": "4/255"}, Threat)
    assert threat.eps == (2 / 255, 4 / 255, 8 / 255)
    assert threat.ball() == LinfBall(eps=4 / 255)
    assert threat.ball(0.5) == LinfBall(eps=0.5)


def test_one_number_is_a_list_of_one_and_the_headline_is_the_largest() -> None:
    assert validated({"norm": "l2", "eps": 3}, Threat).ball() == L2Ball(eps=3.0)
    assert validated({"norm": "l2", "eps": "1/2"}, Threat).headline == 0.5
    assert validated({"norm": "l2", "eps": [0.25, 0.5]}, Threat).headline == 0.5
    assert Threat(eps=(0.1, 0.2)).headline == 0.2


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"eps": -0.1}, "eps.0: input should be greater than 0, found -0.1"),
        ({"eps": ["8/255", 0]}, "eps.1: input should be greater than 0, found 0"),
        ({"eps": []}, "eps: expected a list of 1 or more, found []"),
        ({"eps": ["8/255", "4/255"]}, "eps: must ascend, as [4/255, 8/255]"),
        ({"eps": [0.1, 0.1]}, "eps: must ascend, as [0.1]"),
        ({"eps": "300/255"}, "eps: must lie within the pixel range [0, 1], found '300/255'"),
        ({"eps": [8, "8/255"]}, 'eps: must lie within the pixel range [0, 1]: for 8 gray levels write "8/255"'),
        ({"eps": 8}, 'eps: must lie within the pixel range [0, 1]: for 8 gray levels write "8/255"'),
        (
            {"eps": ["4/255", "8/255"], "headline": "2/255"},
            "headline: must be one of eps [4/255, 8/255], found '2/255'",
        ),
        ({"eps": "8/0"}, "eps.0: must be a number or a ratio such as \"8/255\", found '8/0'"),
        ({"eps": 0.1, "norm": "l1"}, "norm: input should be 'linf' or 'l2', found 'l1'"),
        ({"eps": 0.1, "headlin": 0.1}, "headlin: no such key; did you mean 'headline'?"),
    ],
)
def test_mistakes_get_one_message(entry: dict[str, object], message: str) -> None:
    with pytest.raises(ParamsError) as caught:
        validated({"norm": "linf", **entry}, Threat, "threats.linf.")
    assert f"threats.linf.{message}" in str(caught.value)
    assert "1 to fix" in str(caught.value)
