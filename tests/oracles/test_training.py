"""The training loop: schedule and augmentation by formula, resume byte for byte, and a network that must learn."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from pydantic import ValidationError
from torch import nn

from pixelprune import sampling
from pixelprune.errors import TrainingError
from pixelprune.fills.black import Black
from pixelprune.models.residual import Residual
from pixelprune.training import augment, loop
from pixelprune.training.n_fgsm import NFGSM
from pixelprune.training.natural import Natural
from pixelprune.training.pgd import PGDTraining
from pixelprune.training.run import build, sources
from pixelprune.training.trades import TRADES, divergence

SMALL = Residual(name="residual", widths=(8, 16), stride=2)


def images(count=64, size=16, classes=4):
    """Blobs of a color for each class on noise: easy to learn, not linearly trivial to attack."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % classes
    pixels = rng.integers(90, 166, (count, 3, size, size))
    for position, label in enumerate(labels):
        row = 2 + 3 * int(label)
        pixels[position, int(label) % 3, row : row + 4, 4:12] = 250
    masks = torch.ones(count, 1, size, size, dtype=torch.bool)
    return loop.Images(torch.from_numpy(pixels.astype(np.uint8)), torch.from_numpy(labels), masks)


def task(training, data=None, masks="stay"):
    data = data or images()
    return loop.Task(training, data, data, Black(name="black"), seed=0, masks=masks, bfloat16=False)


def network(data):
    return build(SMALL, 4, data.images, 0, torch.device("cpu"))


def test_the_learning_rate_is_a_triangle():
    rates = [loop.learning_rate(step, 40, 0.8) for step in range(41)]
    assert rates[0] == pytest.approx(0.08) and rates[10] == pytest.approx(0.8) and rates[40] == 0
    assert max(rates) == rates[10]
    assert np.diff(rates[10:]) == pytest.approx(-0.8 / 30)


@pytest.mark.parametrize("shift, flip", [(0, False), (3, False), (2, True)])
def test_augmentation_equals_a_pad_and_a_crop(shift, flip):
    picture = torch.arange(2 * 3 * 6 * 5, dtype=torch.float32).view(2, 3, 6, 5)
    generator = torch.Generator().manual_seed(1)
    rows, columns = augment.positions(2, 6, 5, shift=shift, flip=flip, generator=generator)
    moved = augment.gather(picture, rows, columns)
    padded = torch.nn.functional.pad(picture, (shift,) * 4, mode="reflect") if shift else picture
    for own, result in zip(padded, moved):
        crops = [own[:, y : y + 6, x : x + 5] for y in range(2 * shift + 1) for x in range(2 * shift + 1)]
        candidates = crops + ([crop.flip(2) for crop in crops] if flip else [])
        assert any(torch.equal(result, candidate) for candidate in candidates)


@pytest.mark.parametrize("shift", [6, 11, 40])
def test_a_crop_that_moves_further_than_the_image_is_reflected_again(shift):
    picture = torch.arange(6 * 5, dtype=torch.float32).view(1, 1, 6, 5)
    for seed in range(20):
        rows, columns = augment.positions(
            1, 6, 5, shift=shift, flip=False, generator=torch.Generator().manual_seed(seed)
        )
        augment.gather(picture, rows, columns)
        assert rows.min() >= 0 and rows.max() < 6 and columns.min() >= 0 and columns.max() < 5
        assert (rows.diff().abs() == 1).all() and (columns.diff().abs() == 1).all()


def test_without_options_augmentation_is_the_identity():
    picture = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    rows, columns = augment.positions(3, 4, 4, shift=0, flip=False, generator=torch.Generator())
    assert torch.equal(augment.gather(picture, rows, columns), picture)


def test_light_is_one_contrast_and_one_brightness_an_image():
    pictures = 0.4 + 0.2 * torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lit = augment.relight(pictures, 0.3, torch.Generator().manual_seed(1))
    mean, spread = pictures.mean((1, 2, 3)), pictures.std((1, 2, 3))
    brightness = lit.mean((1, 2, 3)) / mean
    contrast = lit.std((1, 2, 3)) / spread / brightness
    for factor in (brightness, contrast):
        assert 0.7 <= factor.min() < 0.75 and 1.25 < factor.max() <= 1.3
    assert abs(np.corrcoef(brightness, contrast)[0, 1]) < 0.3
    centred = (pictures - mean.view(-1, 1, 1, 1)) * contrast.view(-1, 1, 1, 1) + mean.view(-1, 1, 1, 1)
    torch.testing.assert_close(lit, centred * brightness.view(-1, 1, 1, 1))


def test_light_stays_in_range_and_zero_is_none():
    pictures = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    lit = augment.relight(pictures, 0.9, torch.Generator().manual_seed(1))
    assert lit.min() == 0 and lit.max() == 1
    torch.testing.assert_close(augment.relight(pictures, 0.0, torch.Generator()), pictures)


@pytest.mark.parametrize("training", [
    Natural(epochs=12, batch=16, shift=0),
    NFGSM(epochs=12, batch=16, shift=0, eps=2 / 255),
    PGDTraining(epochs=12, batch=16, shift=0, eps=2 / 255, steps=2),
    TRADES(epochs=12, batch=16, shift=0, eps=2 / 255, steps=2),
], ids=lambda training: training.name)  # fmt: skip
def test_learns_64_images_by_heart(training):
    data = images()
    outcome = loop.train(network(data), task(training, data), None, each_epoch=lambda _: None)
    assert outcome.curve[-1]["validation_clean"] >= 0.95
    assert len(outcome.curve) == 12 and 1 <= outcome.best_epoch <= 12
    measure = f"validation_{training.select}"
    assert outcome.curve[outcome.best_epoch - 1][measure] == max(row[measure] for row in outcome.curve)


def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(tmp_path):
    data, training = images(), NFGSM(epochs=4, batch=16, eps=4 / 255)

    class Killed(Exception):
        pass

    def kill(line):
        if line.startswith("epoch 2"):
            raise Killed

    whole = loop.train(network(data), task(training, data), None, each_epoch=lambda _: None)
    with pytest.raises(Killed):
        loop.train(network(data), task(training, data), tmp_path, each_epoch=kill)
    lines = []
    resumed = loop.train(network(data), task(training, data), tmp_path, each_epoch=lines.append)
    assert [line.split(":")[0] for line in lines] == ["epoch 3/4", "epoch 4/4"]
    assert resumed.curve == whole.curve and resumed.best_epoch == whole.best_epoch
    for name in whole.last:
        assert torch.equal(resumed.last[name], whole.last[name])
        assert torch.equal(resumed.best[name], whole.best[name])


def test_layers_that_draw_and_weights_that_no_image_reaches_end_with_the_same_bytes_too(tmp_path):
    data, training = images(), Natural(epochs=3, batch=16, learning_rate=0.05)

    def drawing():
        made = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 8), nn.Dropout(), nn.ReLU(), nn.Linear(8, 4))
        made.register_parameter("idle", nn.Parameter(torch.ones(3)))
        torch.manual_seed(0)
        for weight in made.parameters():
            nn.init.normal_(weight, std=0.05)
        return made

    def kill(line):
        if line.startswith("epoch 2"):
            raise KeyboardInterrupt

    torch.manual_seed(1)
    whole = loop.train(drawing(), task(training, data), None, each_epoch=lambda _: None)
    torch.manual_seed(2)
    with pytest.raises(KeyboardInterrupt):
        loop.train(drawing(), task(training, data), tmp_path, each_epoch=kill)
    torch.manual_seed(3)
    resumed = loop.train(drawing(), task(training, data), tmp_path, each_epoch=lambda _: None)
    assert resumed.curve == whole.curve
    for name in whole.last:
        assert torch.equal(resumed.last[name], whole.last[name])


def test_what_is_resumed_was_begun_by_the_same_code():
    names = {path.stem for path in sources(Residual(name="residual"), NFGSM())}
    assert {"loop", "augment", "n_fgsm", "residual", "network"} <= names
    assert not {"natural", "resnet18"} & names


def test_a_training_that_diverges_says_so(tmp_path):
    data = images()
    with pytest.raises(TrainingError, match=r"a loss of (nan|inf) in epoch 1 of 2\. Give a learning_rate below 1e\+30"):
        loop.train(
            network(data), task(Natural(epochs=2, batch=16, learning_rate=1e30), data), tmp_path, each_epoch=print
        )
    assert list(tmp_path.iterdir()) == []


def test_n_fgsm_makes_the_step_of_its_paper():
    training = NFGSM(eps=0.1, noise=2.0)
    weight = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))

    def model(pictures):
        score = (pictures * weight).sum((1, 2, 3))
        return torch.stack([torch.zeros_like(score), score], 1)

    pictures = torch.full((5, 3, 4, 4), 0.5)
    mask = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(1)) < 0.5
    found = training.perturb(model, pictures, torch.ones(5, dtype=torch.long), mask, torch.Generator().manual_seed(2))
    noise = (2 * torch.rand(pictures.shape, generator=torch.Generator().manual_seed(2)) - 1) * 0.2
    expected = pictures + (noise - 0.1 * weight.sign()) * mask
    torch.testing.assert_close(found, expected.clamp(0, 1))


def linear(classes=2):
    """logits = W x without a kink anywhere."""
    weight = 0.3 * torch.randn(classes, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return weight, lambda pictures: torch.einsum("nchw,kchw->nk", pictures, weight)


def half_open(count, seed=1):
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed)) < 0.5


def test_the_divergence_equals_that_of_scipy():
    one, other = torch.randn(2, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * 4
    expected = scipy.stats.entropy(one.softmax(1), other.softmax(1), axis=1)
    torch.testing.assert_close(divergence(one, other), torch.from_numpy(expected).float(), rtol=1e-4, atol=1e-6)
    assert divergence(torch.tensor([[0.0, 900.0]]), torch.tensor([[900.0, 0.0]])).item() == pytest.approx(900)


def test_trades_finds_the_worst_corner_of_a_linear_model():
    """Two classes: KL(P(x) || P(x')) grows with the change of z_1 - z_0, whose extremes are two corners on the mask."""
    training = TRADES(eps=0.05, steps=20, step=0.02, beta=3.0)
    weight, model = linear()
    pictures, mask = torch.full((9, 3, 4, 4), 0.5), half_open(9)
    pictures += 0.2 * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(7)).clamp(-1, 1)
    labels = torch.arange(9) % 2
    found = training.perturb(model, pictures, labels, mask, torch.Generator().manual_seed(2))
    corner = 0.05 * (weight[1] - weight[0]).sign() * mask
    ends = [divergence(model(pictures), model(pictures + sign * corner)) for sign in (-1, 1)]
    reached = divergence(model(pictures), model(found))
    at_an_end = [torch.isclose(reached, end, rtol=1e-4) for end in ends]
    assert (at_an_end[0] | at_an_end[1]).all()
    probability = model(pictures).double().softmax(1)
    other = model(found).double().softmax(1)
    expected = (-probability.gather(1, labels[:, None]).log()[:, 0]).mean()
    expected += 3 * (probability * (probability / other).log()).sum(1).mean()
    loss, logits = training.loss(model, pictures, found, labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.equal(logits, model(found))


@pytest.mark.parametrize("steps", [1, 7])
def test_trades_stays_in_ball_range_and_mask(steps):
    _, model = linear(5)
    pictures = torch.rand(20, 3, 4, 4, generator=torch.Generator().manual_seed(4)).round(decimals=1)
    mask = half_open(20)
    training = TRADES(eps=0.03, steps=steps, step=0.02)
    found = training.perturb(model, pictures, torch.zeros(20).long(), mask, torch.Generator().manual_seed(5))
    assert not found.requires_grad
    assert (found - pictures).abs().max() <= 0.03 + 1e-6
    assert found.min() >= 0 and found.max() <= 1
    assert torch.equal(found * ~mask, pictures * ~mask)
    assert ((found - pictures).abs() > 0).any()
    assert (TRADES(eps=1e-4, steps=1).perturb(model, pictures, torch.zeros(20).long(), mask, torch.Generator()) -
            pictures).abs().max() <= 1e-4 + 1e-6  # fmt: skip


def test_trades_without_beta_learns_from_clean_images():
    _, model = linear(4)
    pictures, labels = torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(4)), torch.arange(8) % 4
    none, natural = TRADES(beta=0.0), Natural()
    loss, _ = none.loss(model, pictures, 1 - pictures, labels)
    assert torch.equal(loss, natural.loss(model, pictures, pictures, labels)[0])
    assert not torch.equal(loss, TRADES().loss(model, pictures, 1 - pictures, labels)[0])


def test_trades_searches_in_eval_mode_and_leaves_the_network_alone():
    """As the reference: running statistics rule the search; only the two batches of the loss move them."""
    data = images(16)
    net, seen = network(data), []
    net[2].register_forward_hook(lambda module, *_: seen.append(module.training))
    training = TRADES(epochs=1, batch=16, steps=3)
    loop._epoch(net, torch.optim.SGD(net.parameters(), 1e-9), task(training, data), 1)
    assert seen == [False] * 4 + [True] * 2
    assert net[2].num_batches_tracked == 2
    net = network(data).eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    training.perturb(net, data.images.float() / 255, data.labels, data.masks, torch.Generator())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(weight.grad is None for weight in net.parameters())


def test_trades_learns_every_weight_in_bfloat16_too():
    """Autocast keeps weights that it rounded: those of the search must have a graph."""
    data = images(16)
    net, training = network(data), TRADES(steps=2)
    pictures = data.images.float() / 255
    with torch.autocast("cpu", torch.bfloat16):
        perturbed = training.perturb(net.eval(), pictures, data.labels, data.masks, torch.Generator())
        loss, _ = training.loss(net.train(), pictures, perturbed, data.labels)
    loss.backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in net.parameters())


def test_masks_move_with_their_images_only_where_they_belong_to_them():
    data = images(count=32)
    half = torch.zeros_like(data.masks)
    half[:, :, :, :8] = True
    data = loop.Images(data.images, data.labels, half)
    chosen = torch.arange(32)
    for kind in ("stay", "move"):
        own = task(Natural(shift=4), data, masks=kind)
        _, _, masks = loop._augmented(data, chosen, own, sampling.torch_generator(0, "augment", 1))
        assert torch.equal(masks, half) is (kind == "stay")


def test_redrawn_masks_are_those_of_other_images_and_others_each_time():
    data = images(count=32)
    numbered = torch.arange(32).view(-1, 1, 1, 1) >> torch.arange(16) & 1 == 1
    data = loop.Images(data.images, data.labels, numbered.expand(-1, 1, 16, 16).contiguous())
    own, generator = task(Natural(), data, masks="redrawn"), sampling.torch_generator(0, "augment", 1)
    seen = [loop._augmented(data, torch.arange(32), own, generator)[2] for _ in range(200)]
    numbers = torch.stack([(masks[:, 0, 0] * 2 ** torch.arange(16)).sum(1) for masks in seen])
    counts = torch.stack([(numbers == number).sum(0) for number in range(32)])
    assert (counts.sum(1) - 200).abs().max() < 5 * 200**0.5  # every mask as often, within chance
    assert counts.max() < 25  # no image keeps to one mask


def test_the_alarm_sounds_at_a_collapse():
    outcome = loop.Outcome(best={}, last={})
    training, net = NFGSM(), torch.nn.Linear(1, 1)
    for epoch, robust in enumerate([0.4, 0.45, 0.1], 1):
        loop._judge(outcome, {"epoch": epoch, "validation_clean": 0.9, "validation_robust": robust}, net, training)
    assert outcome.alarm == "catastrophic overfitting: robust accuracy fell by 35% at epoch 3"
    assert outcome.best_epoch == 2


@pytest.mark.parametrize("training, curve, sounds", [
    (NFGSM(), [0.4, 0.19], True),
    (TRADES(), [0.4, 0.3, 0.19], True),
    (NFGSM(), [0.4, 0.21], False),
    (Natural(), [0.9, 0.0], False),
], ids=["at once", "step by step", "a small fall", "nothing defended"])  # fmt: skip
def test_the_alarm_sounds_at_a_fall_of_20_points_from_the_best_epoch(training, curve, sounds):
    outcome = loop.Outcome(best={}, last={})
    for epoch, robust in enumerate(curve, 1):
        row = {"epoch": epoch, "validation_clean": 0.9, "validation_robust": robust}
        loop._judge(outcome, row, torch.nn.Linear(1, 1), training)
    assert (outcome.alarm is not None) is sounds


def test_the_first_loss_is_that_of_a_guess():
    data = images()
    outcome = loop.train(
        network(data), task(Natural(epochs=1, batch=64, learning_rate=1e-9), data), None, each_epoch=lambda _: None
    )
    assert outcome.curve[0]["train_loss"] == pytest.approx(math.log(4), abs=0.8)


@pytest.mark.parametrize("training", [NFGSM, PGDTraining, TRADES])
def test_an_eps_in_gray_levels_is_refused(training):
    with pytest.raises(ValidationError, match='for 8 gray levels write "8/255"'):
        training(eps=8.0)
