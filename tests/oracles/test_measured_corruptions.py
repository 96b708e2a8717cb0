"""Accuracy under corruptions: means by hand, rows one by one, and whose mask sees what."""

import numpy as np
import pytest
import torch

from oracles.subjects import Told, linear, rand, subject
from pixelprune.corruptions.catalog import CORRUPTIONS
from pixelprune.corruptions.extras import EXTRAS
from pixelprune.evaluation.mce import mce
from pixelprune.fills.black import Black
from pixelprune.measures.corruptions import Corruptions
from pixelprune.pruning import PrunedModel

WEIGHTS = rand(3, 8, 8, seed=1) - 0.5


def test_rows_are_what_the_model_says_to_each_corrupted_image() -> None:
    images, labels = rand(9, 3, 8, 8), torch.arange(9) % 2
    network = linear(WEIGHTS)
    pruned = PrunedModel(network, lambda points, ids: points.mean(1), 0.5, Black(name="black"))
    mask = pruned.mask(images)
    own = Corruptions(name="corruptions", corruptions=("contrast", "gaussian_noise"), severities=(2, 5), images=8)
    for whole in (pruned, None):
        run = subject(network, images, labels, mask=mask, pruned=whole)
        rows = own(run).tables["rows"]
        assert len(rows) == 8 * (1 + 2 * 2)
        for name, severity, image, pred in rows[["corruption", "severity", "image", "pred"]].itertuples(index=False):
            i = (image - 1) // 3
            view = images[i : i + 1]
            if severity:
                view = CORRUPTIONS[name](view, severity, np.array([image]), run.seed)
            seen = mask[i : i + 1] if whole is None else pruned.mask(view)
            assert pred == network(view * seen).argmax().item()


def test_means_are_over_severities_then_over_corruptions() -> None:
    images, labels = rand(30, 3, 8, 8), torch.arange(30) % 2
    own = Corruptions(name="corruptions", corruptions=("contrast", "saturate", "fog"), severities=(1, 4, 5))
    found = own(subject(linear(WEIGHTS), images, labels))
    rows = found.tables["rows"]
    right = (rows["pred"] == rows["label"]).groupby([rows["corruption"], rows["severity"]]).mean()
    for name in own.corruptions:
        assert found.summary["by"][name]["share"] == pytest.approx(right[name].mean())
        for severity in own.severities:
            cell = found.summary["severities"][name][str(severity)]
            assert cell["share"] == pytest.approx(right[name, severity]) and cell["n"] == 30
    mean, benchmark = found.summary["mean"], found.summary["mean without extras"]
    assert mean["share"] == pytest.approx(np.mean([right[name].mean() for name in own.corruptions]))
    assert benchmark["share"] == pytest.approx(np.mean([right[name].mean() for name in ("contrast", "fog")]))
    assert (mean["corruptions"], benchmark["corruptions"], mean["n"]) == (3, 2, 30)
    assert mean["low"] <= mean["share"] <= mean["high"]
    assert found.summary["clean"]["share"] == pytest.approx(right["none", 0])


def test_all_19_are_measured_of_which_15_are_the_benchmark() -> None:
    run = subject(linear(WEIGHTS), rand(4, 3, 8, 8), torch.arange(4) % 2)
    found = Corruptions(name="corruptions", severities=(3,))(run)
    assert len(CORRUPTIONS) == 19
    assert list(found.summary["by"]) == list(CORRUPTIONS)
    assert found.summary["mean"]["corruptions"] == 19
    assert found.summary["mean without extras"]["corruptions"] == 15
    assert set(EXTRAS) < set(CORRUPTIONS)


def test_the_tables_of_two_runs_give_the_mean_corruption_error() -> None:
    """A model that is always wrong against one that is half of the time, clean images included."""
    images, labels = rand(10, 3, 8, 8), torch.arange(10) % 2
    wrong = Told(lambda points: torch.nn.functional.one_hot(torch.full((len(points),), 2), 3).float())
    half = Told(lambda points: torch.nn.functional.one_hot(torch.zeros(len(points), dtype=torch.int64), 3).float())
    own = Corruptions(name="corruptions", corruptions=("contrast", "jpeg"), severities=(1, 2))
    tables = [own(subject(network, images, labels)).tables["rows"] for network in (wrong, half)]
    assert mce(*tables) == {"mce": pytest.approx(2), "by": {"contrast": 2, "jpeg": 2}, "n": 10}
