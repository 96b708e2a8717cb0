"""Accuracy on corrupted images: which image meets which corruption, and what the table holds."""

import numpy as np
import torch
from torch import Tensor

from pixelprune.corruptions.light import contrast
from pixelprune.corruptions.noise import gaussian_noise
from pixelprune.harness import corrupted
from pixelprune.harness.ladder import CHUNK, Batch

COLUMNS = {
    "image": "int64", "label": "int16", "group": "int64", "corruption": "str", "severity": "int8", "pred": "int16"
}  # fmt: skip


def batch(count: int) -> Batch:
    rng = torch.Generator().manual_seed(0)
    images = 0.3 + 0.4 * torch.rand(count, 3, 4, 4, generator=rng)
    ids = np.arange(count, dtype=np.int64) * 5 + 2
    return Batch(images, torch.arange(count) % 3, ids, ids // 2, examples=0)


def coded(images: Tensor, ids: object, index: Tensor) -> Tensor:
    """Logits whose argmax is a hash of the image: 0 to 99."""
    number = (images.double().sum((1, 2, 3)) * 1e4).long() % 100
    return torch.nn.functional.one_hot(number, 100).float()


def test_one_row_an_image_a_corruption_a_severity() -> None:
    own = batch(CHUNK + 7)
    table = corrupted.measure(own, coded, {"contrast": contrast, "gaussian_noise": gaussian_noise}, (2, 5), seed=3)
    assert {name: "str" if name == "corruption" else str(kind) for name, kind in table.dtypes.items()} == COLUMNS
    assert table["image"].tolist() == own.ids.tolist() * 4
    assert table["label"].tolist() == own.labels.tolist() * 4
    assert table["group"].tolist() == own.groups.tolist() * 4
    pairs = table[["corruption", "severity"]].drop_duplicates().values.tolist()
    assert pairs == [["contrast", 2], ["contrast", 5], ["gaussian_noise", 2], ["gaussian_noise", 5]]


def test_predictions_are_those_of_the_corrupted_images() -> None:
    """Classified one by one: the batch, its chunks and its order play no part."""
    own = batch(CHUNK + 7)
    table = corrupted.measure(own, coded, {"gaussian_noise": gaussian_noise}, (4,), seed=3)
    for i in (0, 1, CHUNK - 1, CHUNK, CHUNK + 6):
        alone = gaussian_noise(own.images[i : i + 1], 4, own.ids[i : i + 1], 3)
        assert table["pred"][i] == coded(alone, None, torch.tensor([0])).argmax().item()
    other = corrupted.measure(own, coded, {"gaussian_noise": gaussian_noise}, (4,), seed=4)
    assert (other["pred"] != table["pred"]).mean() > 0.9


def test_the_classifier_is_told_ids_and_positions() -> None:
    own, seen = batch(CHUNK + 7), []

    def classify(images: Tensor, ids: np.ndarray, index: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        assert ids.tolist() == own.ids[index.numpy()].tolist()
        seen.append(index.tolist())
        return torch.zeros(len(images), 3)

    corrupted.measure(own, classify, {"contrast": contrast}, (1,), seed=0)
    assert [i for part in seen for i in part] == list(range(CHUNK + 7))
    assert [len(part) for part in seen] == [CHUNK, 7]


def test_no_corruption_is_an_empty_table_of_the_same_columns() -> None:
    table = corrupted.measure(batch(3), coded, {}, (1, 2), seed=0)
    assert len(table) == 0
    assert list(table.columns) == list(COLUMNS)
