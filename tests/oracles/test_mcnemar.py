"""McNemar against enumeration of every way the discordant images could have fallen."""

from itertools import product

import numpy as np
import pytest

from pixelprune.evaluation.mcnemar import mcnemar


def vectors(b, c, both=3, neither=2):
    first = [True] * b + [False] * c + [True] * both + [False] * neither
    second = [False] * b + [True] * c + [True] * both + [False] * neither
    return np.array(first, bool), np.array(second, bool)


def enumerated(b, c):
    """Exact and mid p: the share of all 2^(b+c) falls that are at least as uneven; the equally uneven by half."""
    falls = [abs(2 * sum(fall) - (b + c)) for fall in product((0, 1), repeat=b + c)]
    seen = abs(b - c)
    more, equal = sum(fall > seen for fall in falls) / len(falls), sum(fall == seen for fall in falls) / len(falls)
    return more + equal, more + equal / 2


@pytest.mark.parametrize(("b", "c"), [(b, c) for b in range(8) for c in range(8) if 0 < b + c <= 12])
def test_p_and_mid_p_equal_enumeration(b, c):
    result = mcnemar(*vectors(b, c))
    p, mid_p = enumerated(b, c)
    assert (result.only_first, result.only_second, result.n) == (b, c, b + c + 5)
    assert result.p == pytest.approx(p, abs=1e-12)
    assert result.mid_p == pytest.approx(mid_p, abs=1e-12)


def test_networks_that_agree_everywhere_do_not_differ():
    result = mcnemar(*vectors(0, 0))
    assert (result.p, result.mid_p) == (1.0, 1.0)


def test_a_large_difference_keeps_its_tiny_p():
    assert mcnemar(*vectors(0, 300)).p == pytest.approx(2.0**-299, rel=1e-6)


def test_images_on_which_both_agree_do_not_matter():
    assert mcnemar(*vectors(3, 9)).p == mcnemar(*vectors(3, 9, both=400, neither=50)).p


def test_other_shapes_and_types_are_refused():
    right = np.ones(3, bool)
    with pytest.raises(ValueError, match="same images"):
        mcnemar(right, np.ones(4, bool))
    with pytest.raises(ValueError, match="needs bool"):
        mcnemar(right, np.ones(3, np.int64))
