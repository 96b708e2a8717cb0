"""Streams of random numbers that belong to an image."""

import numpy as np
import torch
from scipy import stats

from pixelprune.draws import Draws

IDS = np.array([3, 7, 2**40, 0])


def test_splitmix64_gives_the_published_numbers() -> None:
    """The first outputs for seed 1234567, as the reference implementation of xoshiro's authors prints them."""
    state, outputs = 1234567, []
    for _ in range(3):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        mixed = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % 2**64
        outputs.append(mixed ^ mixed >> 31)
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    stream = Draws(torch.tensor([0]))
    stream._taken = -1  # so that the stream's own state is the hash of 0, which is 0
    assert [bits % 2**64 for bits in stream._bits(3)[0].tolist()] != outputs
    from pixelprune.draws import GOLDEN, _mix

    found = _mix(1234567 + torch.arange(1, 4) * GOLDEN)
    assert [bits % 2**64 for bits in found.tolist()] == outputs


def test_an_image_gets_the_same_numbers_in_every_batch() -> None:
    whole = Draws.of(IDS, 5, "word")
    first, second = whole.uniform(4, 3), whole.normal(2)
    for rows in ([2], [3, 0], [1, 2, 3]):
        part = Draws.of(IDS[rows], 5, "word")
        assert torch.equal(part.uniform(4, 3), first[rows])
        assert torch.equal(part.normal(2), second[rows])


def test_narrowed_streams_go_on_where_they_are() -> None:
    whole, index = Draws.of(IDS, 0), torch.tensor([3, 1])
    whole.uniform(2)
    part = whole.narrow(index)
    assert torch.equal(part.uniform(5), whole.uniform(5)[index])
    assert torch.equal(whole.narrow(torch.tensor([True, False, False, True])).signs(3), whole.signs(3)[[0, 3]])


def test_branches_do_not_feel_what_was_taken() -> None:
    streams = Draws.of(IDS, 0)
    before = streams.branch(1).uniform(9)
    streams.uniform(2)
    assert torch.equal(streams.branch(1).uniform(9), before)
    assert torch.equal(streams.branch(1).narrow(torch.tensor([2])).uniform(9), before[[2]])


def test_words_images_calls_branches_and_places_give_other_numbers() -> None:
    streams = Draws.of(IDS, 1, "a")
    found = [streams.uniform(500), streams.uniform(500), Draws.of(IDS, 1, "b").uniform(500)]
    found += [streams.branch(number).uniform(500) for number in (0, 1, 2**40)]
    values = torch.cat(found).flatten()
    assert len(values.unique()) > 0.999 * len(values)


def test_seeded_streams_come_from_the_generator() -> None:
    one, same, other = (Draws.seeded(3, torch.Generator().manual_seed(seed)).uniform(4) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_distributions() -> None:
    streams = Draws.of(np.arange(200), 0)
    uniform, normal, signs = streams.uniform(500), streams.normal(500), streams.signs(500)
    assert uniform.dtype == normal.dtype == signs.dtype == torch.float32
    assert 0 <= uniform.min() < 1e-4
    assert 1 - 1e-4 < uniform.max() < 1
    assert stats.kstest(uniform.flatten().numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest(normal.flatten().numpy(), "norm").pvalue > 1e-3
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert abs(signs.mean()) < 4 / 100_000**0.5
    for values in (uniform - 0.5, normal, signs):  # neighbors, of a stream and of images, do not correlate
        for one, other in ((values[:, :-1], values[:, 1:]), (values[:-1], values[1:])):
            assert abs(np.corrcoef(one.flatten(), other.flatten())[0, 1]) < 4 / 100_000**0.5
    integers = Draws.of(np.arange(2000), 0).integers()
    assert integers.min() >= 0
    assert 2**61 < integers.max() < 2**62
