"""The mean corruption error by hand."""

from itertools import product

import pandas
import pytest

from pixelprune.evaluation.mce import mce


def table(wrong: dict[tuple[str, int], int], n: int = 10) -> pandas.DataFrame:
    """So many of n images are wrong under each corruption and severity."""
    rows = [
        {"image": image, "label": image % 3, "corruption": name, "severity": level, "pred": image % 3 + (image < count)}
        for (name, level), count in wrong.items()
        for image in range(n)
    ]
    return pandas.DataFrame(rows)


OWN = table({("none", 0): 1, ("fog", 1): 2, ("fog", 2): 4, ("snow", 1): 5, ("snow", 2): 9})
OTHER = table({("none", 0): 2, ("fog", 1): 5, ("fog", 2): 7, ("snow", 1): 6, ("snow", 2): 8})


def test_by_hand() -> None:
    found = mce(OWN, OTHER)
    assert found["by"] == {"fog": pytest.approx(6 / 12), "snow": pytest.approx(14 / 14)}
    assert found["mce"] == pytest.approx(0.75)
    assert found["n"] == 10


def test_against_itself_it_is_one_in_any_order_of_rows() -> None:
    assert mce(OWN, OWN.sample(frac=1, random_state=0))["mce"] == pytest.approx(1)
    assert mce(OWN.sample(frac=1, random_state=1), OTHER)["mce"] == pytest.approx(0.75)


def test_a_reference_without_errors_gives_no_share() -> None:
    found = mce(OWN, table({("none", 0): 2, ("fog", 1): 0, ("fog", 2): 0, ("snow", 1): 6, ("snow", 2): 8}))
    assert found["by"] == {"fog": None, "snow": pytest.approx(1)}
    assert found["mce"] == pytest.approx(1)
    perfect = table(dict.fromkeys(product(("fog",), (1, 2)), 0))
    assert mce(perfect, perfect)["mce"] is None


def test_what_is_held_out_has_a_share_and_no_say() -> None:
    found = mce(OWN, OTHER, held_out=("snow", "saturate"))
    assert found["mce"] == found["by"]["fog"] == pytest.approx(0.5)
    assert found["by"]["snow"] == pytest.approx(1)


def test_refuses_tables_that_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="same images, corruptions and severities"):
        mce(OWN, OTHER[OTHER["corruption"] != "fog"])
    with pytest.raises(ValueError, match="same images, corruptions and severities"):
        mce(OWN, OTHER.assign(image=OTHER["image"] + 1))
    corrupted = [part[part["severity"] > 0] for part in (OWN, OTHER)]
    assert mce(*corrupted)["mce"] == pytest.approx(0.75)
