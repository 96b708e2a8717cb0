"""Maps against closed forms, brute force and other implementations."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from sklearn.decomposition import PCA as ReferencePCA

from pixelprune import sampling
from pixelprune.maps import class_gradient, components
from pixelprune.maps.background import Background
from pixelprune.maps.blobs import Blobs
from pixelprune.maps.centre import Centre
from pixelprune.maps.foreground import Foreground
from pixelprune.maps.gradient import Gradient
from pixelprune.maps.image_pca import ImagePCA
from pixelprune.maps.map import Source
from pixelprune.maps.pca import PCA
from pixelprune.maps.random import Random
from pixelprune.maps.shift import circular_shift, offsets
from pixelprune.maps.shifted import Shifted
from pixelprune.maps.smoothgrad import SmoothGrad
from pixelprune.maps.sobel import Sobel
from pixelprune.maps.variance import Variance

SEGMENTS = "data/segments/s"
RUN = "models/none/natural/0"
SHAPE = (3, 5, 6)


class Linear:
    """logits = W x, and the largest batch it saw."""

    def __init__(self, classes: int = 4) -> None:
        self.weight = torch.randn(classes, *SHAPE, generator=torch.Generator().manual_seed(0))
        self.largest = 0

    def __call__(self, images):
        self.largest = max(self.largest, len(images))
        return torch.einsum("nchw,kchw->nk", images, self.weight)


def rand(*shape, seed=1):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def images():
    return rand(7, *SHAPE)


@pytest.fixture
def training():
    generator = np.random.default_rng(3)
    low = generator.normal(size=(60, 4)) @ generator.normal(size=(4, 90)) * 25
    return (128 + low + generator.normal(size=(60, 90)) * 6).clip(0, 255).astype(np.uint8).reshape(60, 5, 6, 3)


def floats(training):
    """Channel first, float64 (N, C * H * W) in [0, 1]."""
    return training.transpose(0, 3, 1, 2).reshape(len(training), -1) / 255


# Gradient maps


def test_gradient_of_a_linear_model_is_its_weight(images):
    model = Linear()
    found = Gradient(name="gradient", reads=RUN)(images, np.arange(7), Source(model=model))
    expected = model.weight[model(images).argmax(1)].abs().sum(1)
    torch.testing.assert_close(found, expected / expected.amax((1, 2), keepdim=True))


@pytest.mark.parametrize(("squared", "power"), [(True, 2), (False, 1)])
def test_smoothgrad_of_a_linear_model_is_its_weight(images, squared, power):
    model = Linear()
    member = SmoothGrad(name="smoothgrad", reads=RUN, samples=3, squared=squared)
    found = member(images, np.arange(7), Source(model=model))
    expected = (model.weight[model(images).argmax(1)].abs() ** power).sum(1)
    torch.testing.assert_close(found, expected / expected.amax((1, 2), keepdim=True))


@pytest.mark.parametrize("squared", [True, False])
def test_smoothgrad_of_a_quadratic_model_is_its_closed_form(images, squared):
    """z_0 = sum a x^2 / 2 has g = a (x + xi); every draw of xi is known."""
    scale = rand(*SHAPE, seed=5) + 0.1
    member = SmoothGrad(name="smoothgrad", reads=RUN, samples=4, noise=0.2, squared=squared, seed=9)
    ids = np.array([5, 3, 8, 1, 0, 2, 77])

    def model(points):
        value = (scale * points.square() / 2).flatten(1).sum(1)
        return torch.stack([value, value - 1], dim=1)

    found = member(images, ids, Source(model=model))
    for position, image in enumerate(ids):
        generator = sampling.numpy_generator(9, "smoothgrad", int(image))
        xi = torch.from_numpy(np.stack([generator.standard_normal(SHAPE, dtype=np.float32) for _ in range(4)]))
        x = images[position]
        gradients = scale * (x + 0.2 * (x.max() - x.min()) * xi)
        expected = (gradients**2 if squared else gradients.abs()).mean(0).sum(0)
        torch.testing.assert_close(found[position], expected / expected.max())


def test_smoothgrad_approaches_its_expectation(images):
    """E (a (x + xi))^2 = a^2 (x^2 + sigma^2)."""
    member = SmoothGrad(name="smoothgrad", reads=RUN, samples=4000, noise=0.3)
    x = images[:1]
    found = member(x, np.array([4]), Source(model=lambda points: points.square().flatten(1).sum(1, keepdim=True) / 2))
    expected = (x.square() + (0.3 * (x.max() - x.min())) ** 2).sum(1)
    torch.testing.assert_close(found, expected / expected.max(), atol=0.05, rtol=0)


def test_the_class_predicted_on_the_clean_image_is_explained():
    """With noise far above the margin the noisy copies change sides; the explained logit stays."""
    weight = torch.zeros(2, *SHAPE)
    weight[0, 0, 0, 0], weight[1, 0, 4, 5] = 1.0, 1.0
    image = torch.full((1, *SHAPE), 0.5)
    image[0, 0, 0, 0], image[0, 1, 0, 0], image[0, 2, 0, 0] = 0.51, 0.0, 1.0
    member = SmoothGrad(name="smoothgrad", reads=RUN, samples=30, noise=1.0)
    found = member(image, np.array([0]), Source(model=lambda points: torch.einsum("nchw,kchw->nk", points, weight)))
    assert found[0, 0, 0] == 1
    assert found.sum() == 1


def test_gradient_maps_pass_no_more_images_than_a_chunk(images, monkeypatch):
    monkeypatch.setattr(class_gradient, "CHUNK", 3 * 30)
    for member in (Gradient(name="gradient", reads=RUN), SmoothGrad(name="smoothgrad", reads=RUN, samples=20)):
        model = Linear()
        member(images, np.arange(7), Source(model=model))
        assert model.largest == 3


def test_gradient_maps_answer_the_model_and_leave_its_parameters_alone(images):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first, second = (torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(90, 4)) for _ in range(2))
    member = Gradient(name="gradient", reads=RUN)
    maps = [member(images, np.arange(7), Source(model=model)) for model in (first, second)]
    assert not torch.allclose(maps[0], maps[1])
    assert all(weight.grad is None for weight in first.parameters())


def test_small_gradients_keep_their_order_in_float16(images):
    """1e-9 of the usual size: without a scale of its own the map would be stored as zeros."""
    model = Linear()
    model.weight *= 1e-9
    found = SmoothGrad(name="smoothgrad", reads=RUN, samples=1)(images, np.arange(7), Source(model=model))
    assert (found.half() > 0).float().mean() > 0.9


# Maps learned from the training images


@pytest.mark.parametrize("count", [1, 5, 32])
def test_pca_score_equals_sklearn(training, count):
    reference = ReferencePCA(count, svd_solver="full").fit(floats(training))
    variance = reference.explained_variance_ * 59 / 60  # over N, not N - 1
    expected = (variance[:, None] * reference.components_**2).sum(0).reshape(SHAPE).sum(0)
    found = PCA(name="pca", reads="data/raw", components=count).fit(training)["score"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("side", ["covariance", "gram", "lanczos"])
def test_all_ways_to_the_components_agree_with_the_svd(training, side, monkeypatch):
    images = training if side == "gram" else np.concatenate([training, training[:, ::-1]])  # 60 or 120 of 90 numbers
    if side == "lanczos":
        monkeypatch.setattr(components, "DENSE", 10)
    mean, values, vectors = components.principal_components(images, 6)
    pixels = images.reshape(len(images), -1) / 255
    _, singular, rows = np.linalg.svd(pixels - pixels.mean(0), full_matrices=False)
    np.testing.assert_allclose(mean, pixels.mean(0), atol=1e-12)
    np.testing.assert_allclose(values, singular[:6] ** 2 / len(images), rtol=1e-8)
    np.testing.assert_allclose(vectors @ vectors.T, rows[:6].T @ rows[:6], atol=1e-7)
    np.testing.assert_allclose(vectors * values @ vectors.T, rows[:6].T * values @ rows[:6], atol=1e-8)


def test_pca_with_all_components_is_the_variance(training):
    score = PCA(name="pca", reads="data/raw", components=90).fit(training)["score"]
    torch.testing.assert_close(
        score, Variance(name="variance", reads="data/raw").fit(training)["score"], rtol=1e-5, atol=1e-8
    )


def test_pca_of_flat_images_is_zero():
    assert (PCA(name="pca", reads="data/raw").fit(np.full((4, 5, 6, 3), 7, np.uint8))["score"] == 0).all()


def test_variance_equals_numpy(training):
    many = np.concatenate([training] * 10)
    expected = floats(many).var(0).reshape(SHAPE).sum(0)
    np.testing.assert_allclose(Variance(name="variance", reads="data/raw").fit(many)["score"], expected, rtol=1e-6)


@pytest.mark.parametrize("residual", [False, True])
def test_image_pca_equals_sklearn(training, images, residual):
    reference = ReferencePCA(5, svd_solver="full").fit(floats(training))
    flat = images.flatten(1).double().numpy()
    rebuilt = reference.inverse_transform(reference.transform(flat))
    values = -np.abs(flat - rebuilt) if residual else np.abs(rebuilt - reference.mean_)
    member = ImagePCA(name="image_pca", reads="data/raw", components=5, residual=residual)
    found = member(images, np.arange(7), Source(state=member.fit(training)))
    np.testing.assert_allclose(found, values.reshape(7, *SHAPE).sum(1), atol=1e-5)


# Edges and places


def test_sobel_on_a_step_edge():
    """A step of height 1 between two columns: 4 on both sides of it, nothing elsewhere."""
    image = torch.zeros(1, 3, 8, 8)
    image[..., 4:] = 1
    for turned in (image, image.transpose(2, 3)):
        found = Sobel(name="sobel", reads="data/raw")(turned, np.array([0]), Source())[0]
        found = found if turned is image else found.T
        expected = torch.zeros(8, 8)
        expected[:, 3:5] = 4
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_sobel_equals_its_definition(images):
    gray = (0.299 * images[:, 0] + 0.587 * images[:, 1] + 0.114 * images[:, 2]).double().numpy()
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    found = Sobel(name="sobel", reads="data/raw")(images, np.arange(7), Source())
    for n in range(7):
        wide = np.pad(gray[n], 1, mode="edge")
        for i in range(5):
            for j in range(6):
                window = wide[i : i + 3, j : j + 3]
                expected = np.hypot((kernel * window).sum(), (kernel.T * window).sum())
                assert found[n, i, j] == pytest.approx(expected, abs=1e-5)


def test_centre_falls_with_the_distance():
    found = Centre(name="centre", reads="data/raw")(torch.zeros(2, 3, 5, 7), np.arange(2), Source())
    assert found[1, 2, 3] == 0
    assert found[0, 0, 0] == pytest.approx(-np.hypot(2, 3))
    assert torch.equal(found, found.flip(1, 2))


# Foregrounds and their controls


def probability(images, ids):
    return images[:, 0]


def test_foreground_and_background_are_complements(images):
    ids, source = np.arange(7), Source(foreground=probability)
    first = Foreground(name="foreground", reads=SEGMENTS)(images, ids, source)
    second = Background(name="background", reads=SEGMENTS)(images, ids, source)
    assert torch.equal(first, images[:, 0])
    assert torch.equal(second, 1 - first)


def test_shifted_is_the_foreground_rolled_elsewhere(images):
    ids = np.array([5, 0, 9, 1, 2, 3, 44])
    found = Shifted(name="shifted", reads=SEGMENTS, seed=3)(images, ids, Source(foreground=probability))
    for position, (down, across) in enumerate(offsets(ids, 5, 6, 3)):
        assert (down, across) != (0, 0)
        assert torch.equal(found[position], torch.roll(images[position, 0], (int(down), int(across)), (0, 1)))


def test_shift_of_masks_with_channels_keeps_area_and_dtype():
    mask = rand(50, 1, 5, 6) > 0.6
    moved = circular_shift(mask, np.arange(50), 0)
    assert moved.dtype == torch.bool
    assert moved.shape == mask.shape
    assert torch.equal(moved.flatten(1).sum(1), mask.flatten(1).sum(1))
    assert torch.equal(moved[:, 0], circular_shift(mask[:, 0], np.arange(50), 0))
    values = rand(50, 2, 3, 5, 6)
    moves = offsets(np.arange(50), 5, 6, 0)
    expected = torch.stack([torch.roll(value, tuple(map(int, move)), (-2, -1)) for value, move in zip(values, moves)])
    assert torch.equal(circular_shift(values, np.arange(50), 0), expected)


def test_shifts_are_uniform_over_all_but_none():
    moves = offsets(np.arange(6000), 4, 5, seed=1)
    counts = np.bincount(moves[:, 0] * 5 + moves[:, 1], minlength=20)
    assert counts[0] == 0
    assert chisquare(counts[1:]).pvalue > 1e-3
    assert np.array_equal(offsets(np.array([17]), 4, 5, seed=1)[0], moves[17])
    assert not np.array_equal(offsets(np.arange(6000), 4, 5, seed=2), moves)


def test_a_shift_by_nothing_is_no_shift_where_there_is_one_pixel():
    assert torch.equal(circular_shift(torch.ones(2, 1, 1), np.arange(2), 0), torch.ones(2, 1, 1))


@pytest.mark.parametrize("size", [0.05, 0.1, 0.5])
def test_blobs_have_the_area_of_the_foreground(size):
    images = rand(40, 3, 16, 13)
    images[0] = 0  # no foreground
    images[1] = 1  # nothing else
    images[2, 0] = 0.50001  # above one half, but not in float16
    member = Blobs(name="blobs", reads=SEGMENTS, size=size)
    found = member(images, np.arange(40), Source(foreground=probability))
    area = (images[:, 0].half() > 0.5).flatten(1).sum(1)
    assert torch.equal((found.half() > 0.5).flatten(1).sum(1), area)
    assert area[:3].tolist() == [0, 208, 0]


def test_blobs_are_smoother_than_noise_and_lie_everywhere():
    images = torch.full((400, 3, 16, 16), 0.0)
    images[:, 0, :4] = 1
    found = Blobs(name="blobs", reads=SEGMENTS)(images, np.arange(400), Source(foreground=probability)) > 0.5
    agree = (found[:, 1:] == found[:, :-1]).float().mean()
    assert agree > 0.85  # independent pixels at a share of 1/4: 0.625
    coverage = found.float().mean(0)
    assert coverage.min() > 0.15
    assert coverage.max() < 0.35


def test_random_is_uniform_and_its_own_for_an_id_only_where_asked():
    images = torch.zeros(3, 3, 40, 50)
    one = Random(name="random", reads="data/raw")(images, np.array([1, 2, 3]), Source())
    own = Random(name="random", reads="data/raw", per_image=True)(images, np.array([1, 2, 1]), Source())
    assert torch.equal(one[0], one[1])
    assert torch.equal(own[0], own[2])
    assert not torch.equal(own[0], own[1])
    for values in (one[0], own[0], own[1]):
        assert chisquare(np.histogram(values, 20, (0, 1))[0]).pvalue > 1e-3
