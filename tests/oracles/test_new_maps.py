"""Grad-CAM, occlusion, RISE, captum's maps and blurred noise against closed forms and brute force."""

import sys
from typing import Any, get_args

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from pixelprune import runtime, sampling
from pixelprune.errors import ArtifactError
from pixelprune.maps import many_gradients
from pixelprune.maps.blurred_random import BlurredRandom
from pixelprune.maps.captum import METHODS, Captum
from pixelprune.maps.catalog import Map
from pixelprune.maps.grad_cam import GradCAM, feature_maps
from pixelprune.maps.map import Source
from pixelprune.maps.occlusion import Occlusion, squares
from pixelprune.maps.rise import RISE
from pixelprune.models.quick import quick
from pixelprune.models.residual import Residual
from pixelprune.models.resnet20 import ResNet20

RUN = "models/none/natural/0"
SHAPE = (3, 5, 6)
IDS = np.array([5, 3, 8, 1])


def rand(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def linear(shape: tuple[int, int, int] = SHAPE) -> nn.Module:
    """logits = W x."""
    layer = nn.Linear(int(np.prod(shape)), 4, bias=False)
    layer.weight.data = rand(4, layer.in_features, seed=2) - 0.5
    return nn.Sequential(nn.Flatten(), layer).eval().requires_grad_(False)


def weight_of(model: nn.Module, images: Tensor) -> Tensor:
    """Of the predicted class of each image, float64 (N, C, H, W)."""
    (weight,) = model.parameters()
    return weight[model(images).argmax(1)].view(images.shape).double()


def scaled(values: Tensor) -> Tensor:
    return values / values.flatten(1).amax(1)[:, None, None]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 images: chunks are many, and the last one is filled up."""
    monkeypatch.setattr(many_gradients, "CHUNK", 64 * 30)


@pytest.fixture
def images() -> Tensor:
    return rand(4, *SHAPE)


def residual(number: int) -> nn.Module:
    """With running statistics of its own, in eval mode."""
    made = Residual(widths=(8, 16), stride=1).build(4, sampling.torch_generator(number))
    with torch.no_grad():
        made(rand(64, 3, 16, 16, seed=8))
    return made.eval().requires_grad_(False)


# Occlusion


def places(length: int, size: int, stride: int) -> list[int]:
    found, start = [], 0
    while start + size < length:
        found.append(start)
        start += stride
    return [*found, length - size]


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (2, 1), (3, 2), (2, 5), (50, 1)])
def test_occlusion_of_a_linear_model_is_its_closed_form(images: Tensor, size: int, stride: int) -> None:
    """Hiding a square takes sum of w (x - value) over it away; a pixel has the mean over its squares."""
    model = linear()
    member = Occlusion(name="occlusion", reads=RUN, size=size, stride=stride, value=0.3, answer="logit")
    found = member(images, IDS, Source(model=model))
    taken = (weight_of(model, images) * (images - 0.3)).sum(1)
    total, count = torch.zeros(4, 5, 6, dtype=torch.float64), torch.zeros(5, 6)
    side_down, side_across = min(size, 5), min(size, 6)
    for top in places(5, side_down, min(stride, size)):
        for left in places(6, side_across, min(stride, size)):
            square = np.s_[..., top : top + side_down, left : left + side_across]
            total[square] += taken[square].sum((1, 2))[:, None, None]
            count[square] += 1
    torch.testing.assert_close(found.double(), total / count, atol=1e-5, rtol=1e-5)


def test_squares_hide_every_pixel() -> None:
    for height, width, size, stride in ((5, 6, 2, 2), (7, 4, 3, 9), (3, 3, 1, 1)):
        hidden = squares(height, width, size, stride)
        assert hidden.any(0).all()
        assert (hidden.flatten(1).sum(1) == min(size, height) * min(size, width)).all()


def test_occlusion_of_probabilities_is_brute_force() -> None:
    network, pictures = residual(0), rand(2, 3, 8, 8)
    found = Occlusion(name="occlusion", reads=RUN, size=4, stride=4)(pictures, IDS[:2], Source(model=network))
    for image, values in zip(pictures, found):
        sure = network(image[None]).softmax(1)[0]
        for top in (0, 4):
            for left in (0, 4):
                hidden = image.clone()
                hidden[:, top : top + 4, left : left + 4] = 0.5
                drop = sure.max() - network(hidden[None]).softmax(1)[0, sure.argmax()]
                torch.testing.assert_close(
                    values[top : top + 4, left : left + 4], drop.expand(4, 4), atol=1e-6, rtol=1e-4
                )


# RISE


def bilinear(length: int, cells: int, shift: int) -> np.ndarray:
    """How much of each cell every pixel of a line shows, (cells, length)."""
    cell = -(-length // cells)
    weights = np.zeros((cells, length))
    for pixel in range(length):
        place = np.clip((pixel + shift + 0.5) * cells / ((cells + 1) * cell) - 0.5, 0, cells - 1)
        low = min(int(place), cells - 2)
        weights[low, pixel] += 1 - (place - low)
        weights[low + 1, pixel] += place - low
    return weights


def together(length: int, cells: int) -> np.ndarray:
    """Mean over the shifts of sum over cells of what two pixels show of it, (length, length)."""
    shifts = range(-(-length // cells))
    return np.mean([bilinear(length, cells, shift).T @ bilinear(length, cells, shift) for shift in shifts], 0)


def test_a_mask_of_rise_is_a_grid_enlarged_bilinearly_and_shifted() -> None:
    """Open cells everywhere: 1. Else the mean is p, and the covariance that of shared cells."""
    member = RISE(name="rise", reads=RUN, cells=3, probability=0.3)
    assert (RISE(name="rise", reads=RUN, probability=1.0).drawn(IDS, range(20), 5, 6) == 1).all()
    masks = member.drawn(IDS, range(20_000), 5, 6)[0].double().flatten(1).numpy()
    assert masks.min() >= 0 and masks.max() <= 1
    expected = 0.3 * 0.7 * np.einsum("ij,kl->ikjl", together(5, 3), together(6, 3)).reshape(30, 30)
    np.testing.assert_allclose(masks.mean(0), 0.3, atol=0.016)  # 5 standard errors
    np.testing.assert_allclose(np.cov(masks.T), expected, atol=0.008)
    assert np.std(expected) > 0.03


def test_rise_of_a_linear_model_nears_its_expectation(images: Tensor) -> None:
    """E (f - E f) M_i / p = sum_j w_j x_j Cov(M_i, M_j) / p."""
    model = linear()
    member = RISE(name="rise", reads=RUN, masks=15_000, cells=3, answer="logit")
    found = member(images, IDS, Source(model=model))
    drawn = (weight_of(model, images) * images).sum(1).numpy()
    expected = 0.5 * np.einsum("ij,kl,njl->nik", together(5, 3), together(6, 3), drawn)
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())
    for one, other in zip(found, expected):
        assert spearmanr(one.flatten(), other.flatten())[0] > 0.97


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("answer", ["probability", "logit"])
def test_rise_is_the_mean_over_its_masks(images: Tensor, per_image: bool, answer: Any) -> None:
    model = linear()
    member = RISE(name="rise", reads=RUN, masks=100, cells=2, probability=0.4, per_image=per_image, answer=answer)
    found = member(images, IDS, Source(model=model))
    masks = member.drawn(IDS, range(100), 5, 6).expand(4, -1, -1, -1)
    for row in range(4):
        shown = [model((images[row] * mask)[None])[0] for mask in masks[row]]
        sure = torch.stack([each.softmax(0) if answer == "probability" else each for each in shown])
        f = sure[:, model(images)[row].argmax()]
        expected = ((f - f.mean())[:, None, None] * masks[row]).mean(0) / 0.4
        torch.testing.assert_close(found[row], expected, atol=1e-6, rtol=1e-4)


def test_masks_of_rise_belong_to_seed_number_and_where_asked_to_the_image() -> None:
    shared, own = (RISE(name="rise", reads=RUN, per_image=per_image) for per_image in (False, True))
    assert shared.drawn(IDS, range(3), 5, 6).shape == (1, 3, 5, 6)
    masks = own.drawn(IDS, range(9), 5, 6)
    assert torch.equal(own.drawn(IDS[2:], range(4, 9), 5, 6), masks[2:, 4:])
    assert len(torch.unique(masks.flatten(0, 1), dim=0)) == 36
    assert not torch.equal(shared.model_copy(update={"seed": 1}).drawn(IDS, range(9), 5, 6), masks[:1])


@pytest.mark.parametrize("masks", [10, 1000])
def test_perturbed_images_pass_in_chunks(images: Tensor, masks: int) -> None:
    model, sizes = linear(), set()

    def counted(points: Tensor) -> Tensor:
        sizes.add(len(points))
        return model(points)

    RISE(name="rise", reads=RUN, masks=masks)(images.repeat(10, 1, 1, 1), np.arange(40), Source(model=counted))
    Occlusion(name="occlusion", reads=RUN, size=1, stride=1)(images, IDS, Source(model=counted))
    assert max(sizes) <= 64


@pytest.mark.parametrize("bfloat16", [False, True])
def test_rise_of_a_quick_network_ranks_as_the_networks_own(monkeypatch: pytest.MonkeyPatch, bfloat16: bool) -> None:
    monkeypatch.setattr(runtime, "computes_bfloat16", lambda device: bfloat16)
    monkeypatch.setattr(many_gradients, "CHUNK", 256 * 50)
    network, pictures = residual(3), rand(4, 3, 16, 16)
    member = RISE(name="rise", reads=RUN, masks=200, cells=4)
    exact = member(pictures, IDS, Source(model=network))
    found = member(pictures, IDS, Source(model=network, quick=quick(network)))
    assert not torch.equal(found, exact)
    assert min(spearmanr(a.flatten(), b.flatten())[0] for a, b in zip(found, exact)) > 0.98


@pytest.mark.parametrize(
    "member",
    [
        Occlusion(name="occlusion", reads=RUN, size=2), RISE(name="rise", reads=RUN, masks=9),
        GradCAM(name="grad_cam", reads=RUN),
    ],
    ids=lambda member: member.name,
)  # fmt: skip
def test_the_gradient_of_a_map_is_that_of_finite_differences(images: Tensor, member: Any) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(4), nn.Flatten(), nn.Linear(48, 4)).double().eval()
    x = images[:2].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: member(x, IDS[:2], Source(model=model)), x, atol=1e-6, fast_mode=True)


# Grad-CAM


class Pooled(nn.Module):
    """Two channels of brightness, thresholded, averaged, weighted: everything is known by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.relu, self.linear = nn.Conv2d(3, 2, 2, stride=2), nn.ReLU(), nn.Linear(2, 3)
        self.convolution.weight.data = torch.stack([torch.full((3, 2, 2), 1.0), torch.full((3, 2, 2), -1.0)])
        self.convolution.bias.data = torch.tensor([-6.0, 7.0])
        self.linear.weight.data = torch.tensor([[2.0, 1.0], [-1.0, 0.5], [-1.0, -1.0]])
        self.linear.bias.data.zero_()

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.relu(self.convolution(images)).mean((2, 3)))


def enlarged(small: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear between the middles of pixels, flat beyond the outermost."""
    axes = [np.clip((np.arange(n) + 0.5) * m / n - 0.5, 0, m - 1) for n, m in zip(size, small.shape)]
    across = np.stack([np.interp(axes[1], np.arange(small.shape[1]), row) for row in small])
    return np.stack([np.interp(axes[0], np.arange(small.shape[0]), column) for column in across.T], 1)


@pytest.mark.parametrize("depth", [0, 1])
def test_grad_cam_is_what_one_computes_by_hand(depth: int) -> None:
    pictures, network = rand(6, 3, 6, 8), Pooled()
    found = GradCAM(name="grad_cam", reads=RUN, depth=depth)(pictures, np.arange(6), Source(model=network))
    assert not found.requires_grad
    for picture, values in zip(pictures.double().numpy(), found):
        bright = picture.sum(0).reshape(3, 2, 4, 2).sum((1, 3))
        before = np.stack([bright - 6, 7 - bright])
        after = before.clip(0)
        weight = network.linear.weight.detach().double().numpy()
        t = (weight @ after.mean((1, 2))).argmax()
        if depth == 0:
            alpha, features = weight[t] / 12, after
        else:
            alpha, features = weight[t] * (before > 0).mean((1, 2)) / 12, before
        cam = enlarged(np.einsum("q,qhw->hw", alpha, features).clip(0), (6, 8))
        np.testing.assert_allclose(values, cam / cam.max(), atol=1e-5)


def test_grad_cam_takes_the_last_feature_map_before_pooling() -> None:
    network = residual(0)
    logits, found = feature_maps(network, rand(2, 3, 16, 16))
    torch.testing.assert_close(logits, network(rand(2, 3, 16, 16)))
    head = network.get_submodule(str(len(network) - 1))  # type: ignore[arg-type]
    torch.testing.assert_close(head(found[-1].mean((2, 3))), logits)
    assert all(len(hooks._forward_hooks) == 0 for hooks in network.modules())


class Channels(nn.Module):
    """As ConvNeXt's blocks: what is in between holds its channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.gelu = nn.Linear(40, 40), nn.GELU()

    def forward(self, features: Tensor) -> Tensor:
        return self.gelu(self.linear(features.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


def test_grad_cam_takes_neither_copies_of_places_nor_channels_for_columns() -> None:
    last = nn.Conv2d(3, 40, 4, 4)
    network = nn.Sequential(last, Channels(), nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool2d(7), nn.Flatten())
    _, found = feature_maps(network, rand(2, 3, 32, 16))
    assert [tuple(features.shape) for features in found] == [(2, 40, 8, 4)] * 2
    torch.testing.assert_close(found[0], last(rand(2, 3, 32, 16)))


def test_grad_cam_says_what_it_cannot_explain(images: Tensor) -> None:
    with pytest.raises(ArtifactError, match="torch network"):
        GradCAM(name="grad_cam", reads=RUN)(images, IDS, Source(model=lambda points: points.sum((2, 3))))
    with pytest.raises(ArtifactError, match="has 2 feature maps"):
        GradCAM(name="grad_cam", reads=RUN, depth=2)(images, IDS, Source(model=Pooled()))


# Captum


def test_captum_is_named_where_it_is_missing(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(ArtifactError, match=r"package captum.*pip install captum"):
        Captum(name="captum", reads=RUN)(images, IDS, Source(model=linear()))


def test_captum_explains_networks_of_torch_alone(images: Tensor) -> None:
    with pytest.raises(ArtifactError, match="torch network"):
        Captum(name="captum", reads=RUN)(images, IDS, Source(model=lambda points: points.sum((2, 3))))


def test_a_network_that_captum_cannot_explain_is_named() -> None:
    """DeepLift refuses a layer that is used twice, as this network uses its only ReLU."""
    pytest.importorskip("captum")
    network = ResNet20(name="resnet20").build(4, torch.Generator().manual_seed(0)).eval()
    pictures = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with pytest.raises(ArtifactError, match="captum's deep_lift cannot explain this network"):
        Captum(name="captum", reads=RUN, method="deep_lift")(pictures, np.arange(1), Source(model=network))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_captum_on_a_linear_model(images: Tensor, method: Any) -> None:
    """|w|, |w (x - baseline)|, or the sum of the latter over a square: what all of these are for a linear model."""
    pytest.importorskip("captum")
    model = linear()
    member = Captum(name="captum", reads=RUN, method=method, baseline=0.2, cell=3, samples=60)
    found = member(images, IDS, Source(model=model)).double()
    weight = weight_of(model, images)
    taken = weight * (images - 0.2)
    cells = torch.zeros(4, 5, 6, dtype=torch.float64)
    for top in (0, 3):
        for left in (0, 3):
            square = np.s_[..., top : top + 3, left : left + 3]
            cells[square] = taken[square].sum((1, 2, 3))[:, None, None]
    expected = {
        "guided_backprop": weight.abs().sum(1), "deconvolution": weight.abs().sum(1),
        "input_x_gradient": (weight * images).abs().sum(1),
        "deep_lift": taken.abs().sum(1), "gradient_shap": taken.abs().sum(1),
    }.get(method, cells.abs())  # fmt: skip
    if method == "lime":  # a regression with a penalty: close to it
        assert min(spearmanr(a.flatten(), b.flatten())[0] for a, b in zip(found, expected)) > 0.7
    else:
        torch.testing.assert_close(found, scaled(expected), atol=2e-3, rtol=1e-3)


# Controls and all of them


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.5])
def test_blurred_noise_is_correlated_as_its_gaussian_says(sigma: float) -> None:
    """exp(-d^2 / (4 sigma^2)) between pixels that are d apart, around the borders as well."""
    member = BlurredRandom(name="blurred_random", reads="data/raw", sigma=sigma)
    maps = member(torch.zeros(300, 3, 24, 32), np.arange(300), Source())
    torch.testing.assert_close(maps.mean((1, 2)), torch.zeros(300), atol=1e-5, rtol=0)
    torch.testing.assert_close(maps.var((1, 2), correction=0), torch.ones(300), atol=1e-4, rtol=0)
    for distance in (1, 3):
        expected = np.exp(-(distance**2) / (4 * sigma**2)) if sigma else 0.0
        for axis in (1, 2):
            product = maps * maps.roll(distance, axis)
            assert float(product.mean()) == pytest.approx(expected, abs=0.05)
            border = product[:, :distance] if axis == 1 else product[:, :, :distance]
            assert float(border.mean()) == pytest.approx(expected, abs=0.15)
    assert len(torch.unique(maps, dim=0)) == 300


@pytest.mark.parametrize("kind", [kind for kind in get_args(get_args(Map)[0]) if kind.needs == "model"])
def test_another_network_gives_another_map(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What explains a network depends on its weights."""
    (name,) = get_args(kind.model_fields["name"].annotation)
    if name == "captum":
        pytest.importorskip("captum")
    monkeypatch.setattr(many_gradients, "CHUNK", 256 * 64)
    member = kind(name=name, reads=RUN, **({"masks": 60} if name == "rise" else {}))
    pictures = rand(4, 3, 16, 16)
    first, second = (member(pictures, IDS, Source(model=residual(number))) for number in (0, 1))
    agreement = [spearmanr(a.flatten(), b.flatten())[0] for a, b in zip(first, second)]
    assert np.mean(agreement) < 0.7
