"""Maps against closed forms, brute force and other implementations."""

import tracemalloc

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest, spearmanr
from sklearn.decomposition import PCA as ReferencePCA

from pixelprune import runtime, sampling
from pixelprune.maps import class_gradient, components, many_gradients
from pixelprune.maps.background import Background
from pixelprune.maps.blobs import Blobs
from pixelprune.maps.centre import Centre
from pixelprune.maps.foreground import Foreground
from pixelprune.maps.gradient import Gradient
from pixelprune.maps.image_pca import ImagePCA
from pixelprune.maps.integrated_gradients import IntegratedGradients
from pixelprune.maps.many_gradients import Rows
from pixelprune.maps.map import Source
from pixelprune.maps.noisy import copies
from pixelprune.maps.pca import PCA
from pixelprune.maps.random import Random
from pixelprune.maps.shift import circular_shift, offsets
from pixelprune.maps.shifted import Shifted
from pixelprune.maps.smoothgrad import SmoothGrad
from pixelprune.maps.sobel import Sobel
from pixelprune.maps.vargrad import VarGrad
from pixelprune.maps.variance import Variance
from pixelprune.models.quick import quick
from pixelprune.models.residual import Residual

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


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """64 images: a chunk is filled up, and would be with thousands of these small ones."""
    monkeypatch.setattr(many_gradients, "CHUNK", 64 * 30)


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
    noisy = copies(Rows(images, ids, torch.zeros(7)), range(4), 0.2, 9)
    gradients = scale * noisy
    expected = (gradients**2 if squared else gradients.abs()).mean(1).sum(1)
    torch.testing.assert_close(found, expected / expected.amax((1, 2), keepdim=True))


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


GRADIENT_MAPS = [
    Gradient(name="gradient", reads=RUN),
    SmoothGrad(name="smoothgrad", reads=RUN, samples=20),
    SmoothGrad(name="smoothgrad", reads=RUN, samples=5, squared=False),
    VarGrad(name="vargrad", reads=RUN, samples=20),
    IntegratedGradients(name="integrated_gradients", reads=RUN, steps=20),
]
every_gradient_map = pytest.mark.parametrize("member", GRADIENT_MAPS, ids=str)


def bent(activation, dtype=torch.float64):
    """A small network from SHAPE to 4 logits, with a bend in it."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        layers = torch.nn.Conv2d(3, 8, 3), activation, torch.nn.Flatten(), torch.nn.Linear(8 * 3 * 4, 4)
    return torch.nn.Sequential(*layers).to(dtype).requires_grad_(False)


def one_by_one(model, points, classes):
    """d z_t / d point, each point for itself; points (N, s, C, H, W)."""
    found = torch.empty_like(points)
    for row, own in enumerate(points):
        for number, point in enumerate(own):
            point = point.clone().requires_grad_()
            (found[row, number],) = torch.autograd.grad(model(point[None])[0, classes[row]], point)
    return found


@pytest.mark.parametrize("chunk", [30 * 3, 30 * 50])
def test_smoothgrad_and_vargrad_equal_brute_force(images, monkeypatch, chunk):
    """Over the same copies: mean of squares, mean of sizes, variance. The first is the last plus the squared mean."""
    monkeypatch.setattr(many_gradients, "CHUNK", chunk)
    model, ids, x = bent(torch.nn.ReLU()), np.array([5, 3, 8, 1, 0, 2, 77]), images.double()
    classes = model(x).argmax(1)
    gradients = one_by_one(model, copies(Rows(x, ids, classes), range(11), 0.3, 6), classes)
    squares, variance = gradients.square().mean(1), gradients.var(1, correction=0)
    torch.testing.assert_close(squares, variance + gradients.mean(1).square())
    options = {"reads": RUN, "samples": 11, "noise": 0.3, "seed": 6}
    for member, expected in [
        (SmoothGrad(name="smoothgrad", **options), squares),
        (SmoothGrad(name="smoothgrad", squared=False, **options), gradients.abs().mean(1)),
        (VarGrad(name="vargrad", **options), variance),
    ]:
        expected = expected.sum(1)
        found = member(x, ids, Source(model=model))
        torch.testing.assert_close(found, expected / expected.amax((1, 2), keepdim=True), atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("chunk", [30 * 3, 30 * 50])
def test_vargrad_of_a_linear_model_is_zero_and_not_rounding(images, monkeypatch, chunk):
    monkeypatch.setattr(many_gradients, "CHUNK", chunk)
    found = VarGrad(name="vargrad", reads=RUN, samples=20)(images, np.arange(7), Source(model=Linear()))
    assert (found == 0).all()


def test_copies_are_normal_and_belong_to_seed_image_and_number(images):
    x = rand(3, 3, 16, 16, seed=2)
    x[0] *= 0.5
    ids = np.array([4, 9, 2])
    rows = Rows(x, ids, torch.zeros(3))
    found = copies(rows, range(40), 0.2, 1)
    xi = (found - x[:, None]) / (0.2 * (x.amax((1, 2, 3)) - x.amin((1, 2, 3)))).view(-1, 1, 1, 1, 1)
    assert kstest(xi[:, :, :, :8].flatten(), "norm").pvalue > 1e-3
    assert kstest(xi[:, :, :, 8:].flatten(), "norm").pvalue > 1e-3
    flat = xi.flatten(0, 1).flatten(1)
    assert (torch.corrcoef(flat) - torch.eye(120)).abs().max() < 0.2  # 768 numbers: 5.5 standard deviations
    alone = copies(Rows(x[1:2], ids[1:2], torch.zeros(1)), range(7, 9), 0.2, 1)
    assert torch.equal(alone, found[1:2, 7:9])
    assert not torch.isclose(copies(rows, range(40), 0.2, 2), found).any(-1).all()
    odd = copies(Rows(images, np.arange(7), torch.zeros(7))._replace(images=images[:, :, :, :5]), range(1), 1.0, 0)
    assert odd.shape == (7, 1, 3, 5, 5)


@pytest.mark.parametrize("baseline", [0.0, 0.5])
def test_integrated_gradients_of_a_linear_model_are_weight_times_way(images, baseline):
    model = Linear()
    member = IntegratedGradients(name="integrated_gradients", reads=RUN, steps=3, baseline=baseline)
    found = member.attributions(images, np.arange(7), Source(model=model))
    torch.testing.assert_close(found, (images - baseline) * model.weight[model(images).argmax(1)])
    expected = found.abs().sum(1)
    maps = member(images, np.arange(7), Source(model=model))
    torch.testing.assert_close(maps, expected / expected.amax((1, 2), keepdim=True))


@pytest.mark.parametrize("baseline", [0.0, 0.5])
@pytest.mark.parametrize(
    "activation, steps", [(torch.nn.Softplus(4), 32), (torch.nn.ReLU(), 1000)], ids=["smooth", "relu"]
)
def test_integrated_gradients_are_complete(images, monkeypatch, baseline, activation, steps):
    """They sum to the difference of the logits, within 1 %; where kinks stand on the way, with steps enough."""
    monkeypatch.setattr(many_gradients, "CHUNK", 30 * 300)
    model, x = bent(activation), images.double()
    t = model(x).argmax(1, keepdim=True)
    member = IntegratedGradients(name="integrated_gradients", reads=RUN, baseline=baseline, steps=steps)
    found = member.attributions(x, np.arange(7), Source(model=model))
    expected = (model(x) - model(torch.full_like(x, baseline))).gather(1, t)[:, 0]
    torch.testing.assert_close(found.sum((1, 2, 3)), expected, rtol=0.01, atol=0)


def test_integrated_gradients_take_the_middle_of_each_step(images):
    """The gradient of a square is linear on the way, and the middle rule exact: one step is enough."""
    member = IntegratedGradients(name="integrated_gradients", reads=RUN, steps=1)
    found = member.attributions(
        images, np.arange(7), Source(model=lambda points: points.square().flatten(1).sum(1, keepdim=True))
    )
    torch.testing.assert_close(found, images.square())


@every_gradient_map
def test_gradient_maps_pass_no_more_images_than_a_chunk(member, images, monkeypatch):
    """Whatever the images and their samples: memory is that of a chunk."""
    for module in (class_gradient, many_gradients):
        monkeypatch.setattr(module, "CHUNK", 32 * 30)
    for samples, repeats in ((2, 20), (20, 1), (500, 1)):
        count = {"gradient": {}, "integrated_gradients": {"steps": samples}}.get(member.name, {"samples": samples})
        model, many = Linear(), images.repeat(repeats, 1, 1, 1)
        member.model_copy(update=count)(many, np.arange(len(many)), Source(model=model))
        assert model.largest <= 32


@every_gradient_map
def test_the_gradient_of_a_map_is_that_of_finite_differences(member, images):
    model = bent(torch.nn.Softplus(4))
    x = images[:2].double().requires_grad_()
    few = member.model_copy(update={"samples": 3} if hasattr(member, "samples") else {"steps": 3})
    assert torch.autograd.gradcheck(lambda x: few(x, np.arange(2), Source(model=model)), x, atol=1e-6, fast_mode=True)


@pytest.mark.parametrize("member", GRADIENT_MAPS[1:], ids=str)
def test_a_map_that_is_differentiated_keeps_nothing_of_the_network(member, images):
    """Activations of every sample would grow with the samples; they are computed again on the way back."""
    maps = member(images.double().requires_grad_(), np.arange(7), Source(model=bent(torch.nn.Softplus(4))))
    found, todo = set(), [maps.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in found:
            found.add(node)
            todo += [before for before, _ in node.next_functions]
    names = {node.name() for node in found}
    assert any("Recomputed" in name for name in names)
    assert not any(word in name for name in names for word in ("Conv", "Softplus", "Addmm"))


@pytest.fixture
def network():
    """With running statistics of its own, in eval mode."""
    made = Residual(widths=(8, 16), stride=1).build(4, sampling.torch_generator(3))
    with torch.no_grad():
        made(rand(64, 3, 16, 16, seed=8))
    return made.eval().requires_grad_(False)


@pytest.mark.parametrize("member", GRADIENT_MAPS[1:], ids=str)
@pytest.mark.parametrize("bfloat16", [False, True])
def test_a_quick_network_ranks_as_the_network_does(member, network, monkeypatch, bfloat16):
    """And what it makes of an image does not feel the others, to the bit: chunks have one shape."""
    monkeypatch.setattr(runtime, "computes_bfloat16", lambda device: bfloat16)
    monkeypatch.setattr(many_gradients, "CHUNK", 256 * 48)
    images, ids = rand(4, 3, 16, 16), np.arange(4)
    source = Source(model=network, quick=quick(network))
    found, exact = member(images, ids, source), member(images, ids, Source(model=network))
    assert not torch.equal(found, exact)
    assert min(spearmanr(a.flatten(), b.flatten())[0] for a, b in zip(found, exact)) > 0.99
    assert torch.equal(torch.cat([member(images[i : i + 1], ids[i : i + 1], source) for i in range(4)]), found)


@pytest.mark.parametrize("member", GRADIENT_MAPS[1:], ids=str)
def test_the_quick_network_sees_one_shape_whoever_asks(member, images):
    """A kernel may round otherwise for another shape."""
    model, lengths = Linear(), set()

    def counted(points):
        lengths.add(len(points))
        return model(points)

    for count in (1, 2, 7):
        member(images[:count], np.arange(count), Source(model=model, quick=counted))
    assert len(lengths) == 1


def test_the_class_explained_is_the_networks_own_and_not_the_quick_ones(images):
    model = Linear()
    source = Source(model=model, quick=lambda points: model(points).flip(1))
    found = SmoothGrad(name="smoothgrad", reads=RUN, samples=3)(images, np.arange(7), source)
    expected = model.weight[3 - model(images).argmax(1)].square().sum(1)
    torch.testing.assert_close(found, expected / expected.amax((1, 2), keepdim=True))


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


@pytest.mark.parametrize("member", [
    PCA(name="pca", reads="data/raw", components=4),
    ImagePCA(name="image_pca", reads="data/raw", components=4),
    Variance(name="variance", reads="data/raw"),
], ids=str)  # fmt: skip
def test_learning_takes_no_more_memory_for_more_images(member):
    peaks = []
    for count in (2_000, 20_000):
        images = np.random.default_rng(0).integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
        tracemalloc.start()
        member.fit(images)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[1] < 20_000 * 108 * 2  # less than the images themselves as float16


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
