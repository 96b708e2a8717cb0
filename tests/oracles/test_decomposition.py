"""The decomposition, the nulls and the worst case on tables made by hand, where every number can be counted."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pixelprune.errors import ArtifactError
from pixelprune.evaluation.decomposition import TERMS, decompose
from pixelprune.evaluation.intervals import Estimate
from pixelprune.evaluation.leak import leak
from pixelprune.evaluation.nulls import curve, nulls, read_at, scales
from pixelprune.evaluation.worst_case import groups, standing, standing_clean

EPS = 8 / 255


def table(access, stands, clean=None, eps=EPS, attack="pgd", threat="linf", group=None):
    """Rows of images 10, 11, ... with label 0; a letter an image: 1 right, 0 wrong."""
    n = len(stands)
    clean = clean or "1" * n
    return pd.DataFrame(
        {
            "image": np.arange(10, 10 + n),
            "label": 0,
            "group": np.arange(n) if group is None else group,
            "access": access,
            "threat": threat,
            "eps": eps,
            "attack": attack,
            "clean_pred": [1 - int(c) for c in clean],
            "adv_pred": [1 - int(c) for c in stands],
        }
    )


def test_an_image_stands_only_if_every_attack_at_every_smaller_eps_failed():
    rows = pd.concat(
        [
            table("kept", "11110", "11111", eps=2 / 255, attack="fgsm"),
            table("kept", "01111", "11111", eps=2 / 255, attack="pgd"),
            table("kept", "11011", "11111", eps=EPS, attack="fgsm"),
            table("kept", "11101", "11111", eps=EPS, attack="pgd"),
            table("kept", "00000", "11111", eps=16 / 255),
            table("full", "00000", "11111"),
            table("kept", "00000", "11111", threat="l2"),
        ]
    ).sample(frac=1, random_state=0)
    found = standing(rows, "kept", "linf", EPS)
    assert found.to_dict() == {10: False, 11: True, 12: False, 13: False, 14: False}
    assert standing(rows, "kept", "linf", 2 / 255).to_dict() == {10: False, 11: True, 12: True, 13: True, 14: False}
    assert found.dtype == bool


def test_clean_errors_count_as_broken():
    rows = table("kept", "111", "101")
    assert standing(rows, "kept", "linf", EPS).tolist() == [True, False, True]
    assert standing_clean(rows, "kept").tolist() == [True, False, True]


def test_an_eps_that_was_not_measured_is_no_accuracy():
    with pytest.raises(ArtifactError, match=r"nothing measured for access kept, threat linf, eps 0\.0156863"):
        standing(table("kept", "111"), "kept", "linf", 4 / 255)


def test_an_attack_that_left_out_an_image_is_refused():
    rows = pd.concat([table("kept", "111"), table("kept", "11", attack="fgsm")])
    with pytest.raises(ArtifactError, match=r"fgsm at eps 0\.0313725 has 2 of 3 images"):
        standing(rows, "kept", "linf", EPS)


FULL = table("full", "1000 0000 11".replace(" ", ""), "1111 1110 11".replace(" ", ""))
PRUNED = pd.concat(
    [
        table("budget", "1100000011"),
        table("location", "1110000001"),
        table("kept", "1111100000", "1111111100"),
    ]
)
EXPECTED = {"total": 2, "budget": 1, "location": 0, "feature": 1, "clean": -1, "hardening": 2}


def test_terms_are_the_counted_ones():
    found = decompose([FULL], [PRUNED], "linf", EPS, np.random.default_rng(0))
    assert tuple(found.terms) == TERMS
    assert {name: round(10 * term.value) for name, term in found.terms.items()} == EXPECTED
    assert {name: rate[0].successes for name, rate in found.rates.items()} == {
        "full": 3,
        "budget": 4,
        "location": 4,
        "kept": 5,
        "clean_full": 9,
        "clean_kept": 8,
    }
    assert all(term.n == 10 and term.low <= term.value <= term.high for term in found.terms.values())


def test_where_few_images_stand_hardening_is_the_clean_difference_turned_around():
    """No network holds anything under attack; the one that errs on clean images, too, has less to lose."""
    full = table("full", "0" * 200, "1" * 180 + "0" * 20)
    pruned = pd.concat(
        [table("budget", "0" * 200), table("location", "0" * 200), table("kept", "0" * 200, "1" * 100 + "0" * 100)]
    )
    found = decompose([full], [pruned], "linf", EPS, np.random.default_rng(0))
    assert found.terms["hardening"].value == pytest.approx(0.4) and found.terms["hardening"].low > 0
    assert (found.both_right.value, found.both_right.n) == (0, 100)
    assert not found.shown_harder and not found.shown_easier


def test_both_right_is_kept_less_location_where_no_seed_errs():
    one, two = "1111100000", "1111111100"
    full = [table("full", "0" * 10, clean) for clean in (two, "1" * 10)]
    pruned = [
        pd.concat([table("budget", "0" * 10), table("location", "1100000000"), table("kept", kept, "0" + "1" * 9)])
        for kept in (one, "0" + "1" * 9)
    ]
    both = decompose(full, pruned, "linf", EPS, np.random.default_rng(0)).both_right
    # Images 1 to 7. location holds image 1; kept holds 1 to 4 with the first seed, all of them with the second.
    assert (both.n, both.seeds, both.value) == (7, 2, pytest.approx((3 / 7 + 6 / 7) / 2))
    wrong = pd.concat([table(access, "00", "00") for access in ("budget", "location", "kept")])
    assert decompose([table("full", "11")], [wrong], "linf", EPS, np.random.default_rng(0)).both_right is None


@pytest.mark.parametrize("sign", [1, -1])
def test_harder_or_easier_needs_both_measures(sign):
    plain = decompose([FULL], [PRUNED], "linf", EPS, np.random.default_rng(0))
    away, near = ((sign * 0.2, sign * 0.2 - 0.1, sign * 0.2 + 0.1), (sign * 0.05, sign * 0.05 - 0.1, sign * 0.05 + 0.1))
    for hardening in (away, near):
        for both in (away, near, None):
            terms = plain.terms | {"hardening": Estimate(*hardening, 10)}
            found = replace(plain, terms=terms, both_right=None if both is None else Estimate(*both, 10))
            shown = hardening == both == away
            assert (found.shown_harder, found.shown_easier) == (shown and sign > 0, shown and sign < 0)


def test_terms_add_up_for_every_image_and_seed():
    generator = np.random.default_rng(1)

    def letters():
        return "".join(generator.choice(["0", "1"], size=200))

    full = [table("full", letters(), letters()) for _ in range(3)]
    pruned = [
        pd.concat([table(a, letters(), c) for a, c in (("budget", None), ("location", None), ("kept", letters()))])
        for _ in range(3)
    ]
    found = decompose(full, pruned, "linf", EPS, generator)
    part = found.per_image
    assert part["total"].shape == (3, 200)
    np.testing.assert_array_equal(part["total"], part["budget"] + part["location"] + part["feature"])
    np.testing.assert_array_equal(part["feature"], part["clean"] + part["hardening"])
    value = {name: term.value for name, term in found.terms.items()}
    assert value["total"] == pytest.approx(value["budget"] + value["location"] + value["feature"], abs=1e-15)
    assert found.terms["total"].seeds == 3
    alone = decompose(full[:1], pruned[:1], "linf", EPS, generator)
    assert alone.terms["total"].value == pytest.approx(part["total"][0].mean())


def test_intervals_resample_groups():
    stands = "1" * 50 + "0" * 50
    of_group = np.repeat(np.arange(4), 25)

    def width(group):
        full = table("full", "0" * 100, group=group)
        pruned = pd.concat([table(a, stands, group=group) for a in ("budget", "location", "kept")])
        total = decompose([full], [pruned], "linf", EPS, np.random.default_rng(0)).terms["total"]
        return total.high - total.low

    assert width(of_group) > 3 * width(None)


def test_equal_models_and_equal_masks_have_no_terms():
    pruned = pd.concat([table(access, "1010") for access in ("budget", "location", "kept")])
    found = decompose([table("full", "1010")], [pruned], "linf", EPS, np.random.default_rng(0))
    assert {(term.value, term.low, term.high) for term in found.terms.values()} == {(0.0, 0.0, 0.0)}


def test_other_images_are_refused():
    other = pd.concat([PRUNED[PRUNED["access"] != "kept"], table("kept", "111")])
    with pytest.raises(ArtifactError, match="kept was measured on other images than full"):
        decompose([FULL], [other], "linf", EPS, np.random.default_rng(0))
    with pytest.raises(ValueError, match="as many tables"):
        decompose([FULL], [], "linf", EPS, np.random.default_rng(0))


# A linear curve: of 100 images, 10 more break at each of 0.1, 0.2, 0.3, 0.4.
LINEAR = pd.concat([table("full", "0" * (10 * i) + "1" * (100 - 10 * i), eps=0.1 * i) for i in (1, 2, 3, 4)])


@pytest.mark.parametrize("eps", [0.0, 0.05, 0.1, 0.17, 0.3, 0.4])
def test_a_linear_curve_is_read_exactly(eps):
    assert read_at(curve(LINEAR, "full", "linf"), eps).mean() == pytest.approx(1 - eps)


def test_beyond_the_measured_radii_nothing_is_said():
    assert read_at(curve(LINEAR, "full", "linf"), 0.41) is None
    assert nulls(LINEAR, "linf", "linf", 1.0, [0.5], np.random.default_rng(0))["kept"][0].accuracy is None


@pytest.mark.parametrize(("norm", "fixed", "retrained"), [("linf", 0.25, 0.5), ("l2", 0.5, 0.5)])
def test_nulls_scale_eps_as_first_order_theory_says(norm, fixed, retrained):
    assert scales(0.25, norm) == (fixed, retrained)
    found = nulls(LINEAR, "linf", norm, 0.25, [0.2, 0.4], np.random.default_rng(0))
    assert [null.accuracy.value for null in found["budget"]] == pytest.approx([1 - fixed * 0.2, 1 - fixed * 0.4])
    assert [null.accuracy.value for null in found["kept"]] == pytest.approx([1 - retrained * 0.2, 1 - retrained * 0.4])
    assert all(null.accuracy.low <= null.accuracy.value <= null.accuracy.high for null in found["kept"])
    assert found["kept"][1].accuracy.n == 100


@pytest.mark.parametrize(("keep", "norm"), [(0, "linf"), (1.1, "linf"), (0.5, "l1")])
def test_nulls_refuse_what_has_no_null(keep, norm):
    with pytest.raises(ValueError, match="needs"):
        scales(keep, norm)


def test_leak_is_what_stands_under_the_unbounded_threat():
    rows = pd.concat([table("kept", "1110"), table("kept", "0100", eps=1.0, threat="unbounded")])
    assert (leak(rows).successes, leak(rows).n) == (1, 4)
    assert leak(table("kept", "1110")) is None


def test_groups_belong_to_images():
    assert groups(table("kept", "111", group=[5, 5, 7])).to_dict() == {10: 5, 11: 5, 12: 7}
