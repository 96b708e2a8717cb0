"""Posteriors of weights against closed forms: regression, quadrature, Hessians, divergences, moments, and the mean."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelprune.attacks.fresh import Fresh
from pixelprune.attacks.mean import Mean
from pixelprune.attacks.narrowing import Model
from pixelprune.defenses.defense import DefenseOptions, Lesson
from pixelprune.defenses.dropout import Dropout, blocks
from pixelprune.defenses.elbo import divergence, local, raw
from pixelprune.defenses.ensemble import Ensemble
from pixelprune.defenses.extractor import Extractor, flipped, perturbed
from pixelprune.defenses.fitting import fit
from pixelprune.defenses.head import Head
from pixelprune.defenses.laplace import Laplace, evidence_precision, ggn, softmax_curvature, spread
from pixelprune.defenses.last_layer import LastLayer
from pixelprune.draws import Draws
from pixelprune.models.penultimate import last_linear
from pixelprune.models.residual import BasicBlock, Residual

K, SIDE = 3, 6
MANY = 20_000


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rand(*shape: int, seed: int = 2) -> Tensor:
    return torch.rand(*shape, generator=rng(seed))


def randn(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


def network(classes: int = K, seed: int = 0, bias: bool = True) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Softplus(4), nn.Conv2d(4, 5, 3, stride=2, padding=1), nn.Softplus(4), nn.Flatten(),
        nn.Linear(20, classes, bias=bias),
    )  # fmt: skip
    return layers.eval().requires_grad_(False)


def linear(classes: int = K) -> nn.Module:
    torch.manual_seed(4)
    layers = nn.Sequential(nn.Conv2d(3, 6, 4, bias=False), nn.Flatten(), nn.Linear(54, classes))
    return layers.eval().requires_grad_(False)


def lesson(count: int = 120, told: Callable[[str], None] = lambda line: None) -> Lesson:
    pixels = (255 * rand(count, 3, SIDE, SIDE, seed=5)).byte()
    return Lesson(
        pixels, network(seed=9)(pixels / 255).argmax(1), rng(1), told, again=lambda number: network(K, number)
    )


DEFENSES: list[DefenseOptions] = [
    Ensemble(name="ensemble", networks=3),
    Dropout(name="dropout", epochs=1, batch=40),
    Laplace(name="laplace"),
    Laplace(name="laplace", covariance="kronecker", prior_precision=2.0),
    Head(name="head", epochs=1, batch=40),
    Extractor(name="extractor", epochs=1, batch=40, start=0.5, bases=3),
]
of_all = pytest.mark.parametrize("defense", DEFENSES, ids=lambda defense: defense.name)
of_chance = pytest.mark.parametrize("defense", DEFENSES[1:], ids=lambda defense: defense.name)


def taught(defense: DefenseOptions) -> dict[str, Tensor]:
    return defense.learn(network(), lesson())


def repeated(image: Tensor, count: int = MANY) -> tuple[Tensor, Draws]:
    """One image so often, a stream each: its distribution in one call."""
    return image.expand(count, *image.shape[1:]), Draws.of(np.arange(count), "many")


# What every posterior keeps to.


@of_all
def test_learning_leaves_the_network_alone_and_repeats_itself(defense: DefenseOptions) -> None:
    own = network()
    before = {name: value.clone() for name, value in own.state_dict().items()}
    learned, again = defense.learn(own, lesson()), defense.learn(own, lesson())
    assert learned.keys() == again.keys() and all(torch.equal(learned[name], again[name]) for name in learned)
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())
    assert not own.training and not any(weight.requires_grad for weight in own.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in own.modules())
    assert not any(value.requires_grad for value in learned.values())
    images, draws = rand(4, 3, SIDE, SIDE), Draws.of(np.arange(4), 0)
    assert not torch.equal(defense.around(own, learned)(images, draws), own(images))


@of_all
def test_an_image_is_answered_alike_in_every_batch(defense: DefenseOptions) -> None:
    drawn, images = defense.around(network(), defense.learn(network(), lesson())), rand(24, 3, SIDE, SIDE)
    together = drawn(images, Draws.of(np.arange(24), 0))
    order = torch.tensor([17, 3, 20, 5])
    torch.testing.assert_close(drawn(images[order], Draws.of(order.numpy(), 0)), together[order])
    assert torch.equal(drawn(images, Draws.of(np.arange(24), 0)), together)
    other = drawn(images, Draws.of(np.arange(24), 1))
    assert (other != together).any(1).all() == defense.randomised


@of_chance
def test_a_stream_is_one_network_whatever_image_it_is_shown(defense: DefenseOptions) -> None:
    """Whoever knows the draw attacks a network. If all layers are linear, any weights answer by an affine function."""
    own = linear()
    drawn = defense.around(own, defense.learn(own, lesson()))
    images, seeds = rand(6, 3, SIDE, SIDE), Draws.of(np.array([7]), 0).seeds.expand(7)
    logits = drawn(torch.cat([images, images.mean(0, keepdim=True)]), Draws(seeds))
    torch.testing.assert_close(logits[6], logits[:6].mean(0), atol=1e-5, rtol=1e-4)


@of_all
def test_attacks_follow_the_gradient_of_the_log_of_the_mean(defense: DefenseOptions) -> None:
    """By finite differences, in float64; the mean of the draws' own losses has another gradient."""
    learned = {name: value.double() if value.is_floating_point() else value for name, value in taught(defense).items()}
    drawn = defense.around(network().double(), learned)
    images, labels, draws = rand(2, 3, SIDE, SIDE).double(), torch.tensor([0, 2]), 3

    def losses(points: Tensor) -> Tensor:
        logs: Tensor = Mean(drawn, Fresh.of(Draws.of(np.arange(2), 0)), draws)(points)
        return -logs.gather(1, labels[:, None])[:, 0]

    (grad,) = torch.autograd.grad(losses(images.requires_grad_()).sum(), images)
    steps = 1e-4 * torch.eye(images[0].numel(), dtype=torch.float64).view(-1, 1, 3, SIDE, SIDE)
    with torch.no_grad():
        found = torch.stack([(losses(images + step) - losses(images - step)) / 2e-4 for step in steps])
    torch.testing.assert_close(found.T, grad.flatten(1), atol=1e-7, rtol=1e-5)

    own = Fresh.of(Draws.of(np.arange(2), 0)).next()
    each = [
        functional.cross_entropy(drawn(images, own.branch(number)), labels, reduction="sum") for number in range(draws)
    ]
    (of_losses,) = torch.autograd.grad(torch.stack(each).mean(), images)
    assert torch.allclose(of_losses, grad, rtol=1e-4) == (not defense.randomised)


# Laplace


@pytest.mark.parametrize("covariance", ["full", "kronecker"])
def test_laplace_of_a_squared_loss_is_bayesian_linear_regression(covariance: str) -> None:
    features, targets, noise, precision = randn(40, 5), randn(40, K, seed=4), 0.3, 2.5
    laplace = Laplace(name="laplace", covariance=covariance, prior_precision=precision)
    curvature = torch.eye(K, dtype=torch.float64) / noise
    weight = randn(K, 5, seed=5)  # any: the loss is quadratic
    roots = laplace.roots(features, lambda part: curvature.expand(len(part), K, K), weight, lambda line: None)
    # What the weights' unit draws do to features that are unit vectors themselves: the root of the covariance.
    units = torch.eye(K * 5, dtype=torch.float64).view(-1, K, 5)
    root = torch.stack([spread(one.expand(K * 5, 5), units, roots) for one in torch.eye(5, dtype=torch.float64)], 2)
    covariance_found = root.flatten(1).T @ root.flatten(1)
    exact = torch.linalg.inv(features.T @ features / noise + precision * torch.eye(5, dtype=torch.float64))
    torch.testing.assert_close(covariance_found, torch.block_diag(*[exact] * K))

    gradient = ((features @ weight.T - targets).T @ features / noise + precision * weight).flatten()
    mean = weight - (covariance_found @ gradient).view(K, 5)  # one Newton step
    torch.testing.assert_close(mean, (exact @ features.T @ targets / noise).T)
    point = randn(1, 5, seed=6)
    logits = point @ mean.T + spread(point.expand(MANY, 5), randn(MANY, K, 5, seed=7), roots)
    variance = float(point @ exact @ point.T)
    assert (logits.mean(0) - point @ mean.T).abs().max() < 4 * (variance / MANY) ** 0.5
    torch.testing.assert_close(torch.cov(logits.T), variance * torch.eye(K).double(), atol=0.05 * variance, rtol=0)


def test_the_gauss_newton_matrix_is_the_hessian_of_cross_entropy_in_the_last_layer() -> None:
    features, labels, weight = randn(30, 4), torch.randint(K, (30,), generator=rng()), randn(K, 4, seed=5)

    def loss(flat: Tensor) -> Tensor:
        return functional.cross_entropy(features @ flat.view(K, 4).T, labels, reduction="sum")

    hessian = torch.autograd.functional.hessian(loss, weight.flatten())
    torch.testing.assert_close(ggn(features, softmax_curvature(features @ weight.T)), hessian)


def test_the_kronecker_factors_are_exact_where_all_images_have_one_curvature_and_else_near() -> None:
    features, weight = randn(50, 4), 0.1 * randn(K, 4, seed=5)
    found = {}
    for covariance in ("full", "kronecker"):
        laplace = Laplace(name="laplace", covariance=covariance, prior_precision=1.0)
        roots = laplace.roots(features, lambda part: softmax_curvature(part @ weight.T), weight, lambda line: None)
        units = torch.eye(K * 4, dtype=torch.float64).view(-1, K, 4)
        root = torch.stack([spread(one.expand(K * 4, 4), units, roots) for one in torch.eye(4, dtype=torch.float64)], 2)
        found[covariance] = root.flatten(1).T @ root.flatten(1)
    far = (found["full"] - found["kronecker"]).norm() / found["full"].norm()
    assert 1e-6 < far < 0.02


def test_the_prior_is_the_one_of_the_largest_evidence() -> None:
    values, weight = torch.linspace(0, 300, 24, dtype=torch.float64) ** 2 / 100, randn(K, 8)
    squared = float((weight**2).sum())
    grid = torch.logspace(-4, 4, 80_001, dtype=torch.float64)
    evidence = 12 * grid.log() - grid * squared / 2 - (values + grid[:, None]).log().sum(1) / 2
    assert evidence_precision(values, squared) == pytest.approx(float(grid[evidence.argmax()]), rel=3e-4)
    told: list[str] = []
    Laplace(name="laplace").learn(network(), lesson(told=told.append))
    assert len(told) == 1 and float(told[0].removeprefix("prior precision ")) > 0


def test_the_predictive_of_two_classes_is_an_integral_over_one_number() -> None:
    own, precision = network(2), 0.02
    last_linear(own).bias[1] += 1.5
    images = (255 * rand(6, 3, SIDE, SIDE, seed=5)).byte()
    few = Lesson(images, torch.zeros(6, dtype=torch.int64), rng(), lambda line: None)
    laplace = Laplace(name="laplace", prior_precision=precision)
    drawn, image = laplace.around(own, laplace.learn(own, few)), rand(1, 3, SIDE, SIDE, seed=8)
    last = LastLayer.of(own)
    features = last.features(images / 255).double()
    curvature = softmax_curvature(features @ last.weight.double().T)
    hessian = torch.einsum("nkl,nd,ne->kdle", curvature, features, features).reshape(42, 42)
    covariance = torch.linalg.inv(hessian + precision * torch.eye(42, dtype=torch.float64)).view(2, 21, 2, 21)
    point = last.features(image)[0].double()
    of_logits = torch.einsum("d,kdle,e->kl", point, covariance, point)
    logits = last.weight.double() @ point
    mean = float(logits[1] - logits[0])
    variance = float(of_logits[0, 0] + of_logits[1, 1] - 2 * of_logits[0, 1])
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    wanted = float((weights / (1 + np.exp(-(mean + variance**0.5 * nodes)))).sum() / weights.sum())
    chances = torch.softmax(drawn(*repeated(image)), 1)[:, 1]
    assert variance > 1 and abs(wanted - 1 / (1 + np.exp(-mean))) > 0.02  # chance matters here
    assert abs(float(chances.mean()) - wanted) < 4 * float(chances.std()) / MANY**0.5
    logs = Mean(drawn, Fresh.of(Draws.of(np.arange(1), 0)), 2000)(image)
    assert abs(float(logs.exp()[0, 1]) - wanted) < 5 * float(chances.std()) / 2000**0.5


def test_laplace_sees_the_images_as_training_does() -> None:
    plain = lesson()

    def dark(model: Model, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        model(images.requires_grad_()).sum().backward()
        return torch.zeros_like(images)

    black = Lesson(plain.images * 0, plain.labels, plain.generator, plain.tell)
    darkened = Lesson(plain.images, plain.labels, plain.generator, plain.tell, perturb=dark)
    laplace = Laplace(name="laplace", prior_precision=1.0)
    assert torch.equal(laplace.learn(network(), black)["root"], laplace.learn(network(), darkened)["root"])
    assert not torch.equal(laplace.learn(network(), black)["root"], laplace.learn(network(), plain)["root"])


# The evidence lower bound


def test_the_divergence_is_what_sampling_says() -> None:
    mean, deviation, prior = 0.3 * randn(7), 0.1 + rand(7).double(), 0.7
    draws = mean + deviation * randn(200_000, 7, seed=8)
    own = torch.distributions.Normal(mean, deviation).log_prob(draws)
    ratio = (own - torch.distributions.Normal(torch.zeros(7).double(), prior).log_prob(draws)).sum(1)
    assert abs(float(ratio.mean() - divergence(mean, deviation, prior))) < 4 * float(ratio.std()) / 200_000**0.5
    assert divergence(torch.zeros(3), torch.full((3,), 0.7), 0.7).abs() < 1e-6


def test_softplus_of_a_raw_deviation_is_the_deviation() -> None:
    wanted = torch.logspace(-4, 1.5, 40)
    torch.testing.assert_close(functional.softplus(raw(wanted)), wanted)


def test_the_local_draw_is_distributed_as_that_of_the_weights() -> None:
    features, mean, deviation = randn(1, 6), randn(K, 6, seed=4), 0.1 + rand(K, 6).double()
    many = features.expand(MANY, 6)
    short = local(many, mean, deviation, randn(MANY, K, seed=5))
    full = torch.einsum("nkd,nd->nk", mean + deviation * randn(MANY, K, 6, seed=6), many)
    variance = (features**2 @ (deviation**2).T)[0]
    for logits in (short, full):
        assert ((logits.mean(0) - features @ mean.T)[0].abs() < 4 * (variance / MANY).sqrt()).all()
        wanted = variance.diag()
        torch.testing.assert_close(torch.cov(logits.T), wanted, atol=0.05 * float(variance.max()), rtol=0)


def test_the_head_answers_by_the_gaussian_that_it_learned() -> None:
    own, image = network(), rand(1, 3, SIDE, SIDE)
    head = Head(name="head", epochs=1, start=0.4)
    learned = head.learn(own, lesson())
    logits = head.around(own, learned)(*repeated(image))
    features = LastLayer.of(own).features(image)
    variance = (features**2 @ (learned["deviation"] ** 2).T)[0]
    assert ((logits.mean(0) - (features @ learned["mean"].T)[0]).abs() < 4 * (variance / MANY).sqrt()).all()
    torch.testing.assert_close(torch.cov(logits.T), variance.diag(), atol=0.05 * float(variance.max()), rtol=0)


def test_without_much_to_learn_from_the_head_returns_to_the_prior() -> None:
    few = Lesson(torch.zeros(2, 3, SIDE, SIDE, dtype=torch.uint8), torch.tensor([0, 1]), rng(), lambda line: None)
    learned = Head(name="head", prior=0.5, epochs=400, learning_rate=0.03).learn(network(), few)
    assert learned["mean"].abs().mean() < 0.05
    torch.testing.assert_close(learned["deviation"], torch.full((K, 21), 0.5), atol=0.1, rtol=0)
    cold = Head(name="head", prior=0.5, epochs=0).learn(network(), few)
    torch.testing.assert_close(cold["mean"], LastLayer.of(network()).weight)
    torch.testing.assert_close(cold["deviation"], torch.full((K, 21), 0.05))


@pytest.mark.parametrize(
    "defense",
    [
        Head(name="head", epochs=12, batch=40, learning_rate=0.02, tempering=0.1),
        Dropout(name="dropout", epochs=12, batch=40, learning_rate=0.01),
        Extractor(name="extractor", epochs=12, batch=40, learning_rate=0.01, tempering=0.01),
    ],
    ids=lambda defense: defense.name,
)
def test_what_is_learned_lowers_the_loss_of_the_mean(defense: DefenseOptions) -> None:
    plain, own = lesson(), network()
    told: list[str] = []
    drawn = defense.around(own, defense.learn(own, Lesson(plain.images, plain.labels, rng(), told.append)))
    logs = Mean(drawn, Fresh.of(Draws.of(np.arange(120), 0)), 20)(plain.images / 255)
    before = functional.cross_entropy(own(plain.images / 255), plain.labels)
    assert functional.nll_loss(logs, plain.labels) < before
    assert len(told) == 12 and float(told[-1].rpartition(" ")[2]) < float(told[0].rpartition(" ")[2])


def test_images_are_perturbed_against_a_draw_that_is_not_the_one_to_learn_from() -> None:
    asked: list[tuple[Tensor, Tensor]] = []
    weight = nn.Parameter(torch.zeros(3 * SIDE * SIDE, K))

    def drawn(images: Tensor, draws: Draws) -> Tensor:
        asked.append((images, draws.integers()))
        return images.flatten(1) @ weight

    def perturb(model: Model, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        model(images), model(images)
        return torch.full_like(images, 0.5)

    plain = lesson(20)
    few = Lesson(plain.images, plain.labels, rng(), plain.tell, perturb=perturb)
    fit(drawn, [weight], few, epochs=2, batch=10, learning_rate=0.1)
    assert len(asked) == 12  # two epochs of two steps of three calls
    for first, second, learned in zip(asked[::3], asked[1::3], asked[2::3]):
        assert torch.equal(first[1], second[1]) and not (first[1] == learned[1]).any()
        assert (learned[0] == 0.5).all() and not (first[0] == 0.5).all()
    assert len({int(number) for _, numbers in asked for number in numbers}) == 2 * 2 * 2 * 10


# Dropout


def test_dropout_before_the_last_layer_has_the_mean_and_variance_of_its_masks() -> None:
    own, image = network(), rand(1, 3, SIDE, SIDE)
    dropout = Dropout(name="dropout", rate=0.3, epochs=0)
    logits = dropout.around(own, dropout.learn(own, lesson()))(*repeated(image))
    last = LastLayer.of(own)
    parts = (last.weight * last.features(image))[:, :-1]  # the bias is not dropped
    covariance = parts @ parts.T * 0.3 / 0.7
    assert ((logits.mean(0) - own(image)[0]).abs() < 4 * (covariance.diag() / MANY).sqrt()).all()
    torch.testing.assert_close(torch.cov(logits.T), covariance, atol=0.05 * float(covariance.max()), rtol=0)


def test_of_blocks_whole_channels_are_dropped() -> None:
    own = Residual(widths=(4, 6), blocks=2).build(K, rng()).eval().requires_grad_(False)
    found = blocks(own)
    assert len(found) == 4 and all(isinstance(block, BasicBlock) for block in found)
    with pytest.raises(ValueError, match="no residual blocks"):
        blocks(network())
    came: list[Tensor] = []
    body = found[1].body
    assert isinstance(body, nn.Sequential)
    body[0].register_forward_pre_hook(lambda module, inputs: came.append(inputs[0]))
    images, ids = rand(200, 3, 8, 8), np.arange(200)
    drawn = Dropout(name="dropout", where="blocks", rate=0.25).dropping(own)
    drawn(images, Draws.of(ids, 0))
    off = (came[0] == 0).all((2, 3))
    assert abs(float(off.float().mean()) - 0.25) < 0.08
    assert ((came[0] != 0).any((2, 3)) | off).all()
    assert not torch.equal(off[:, 0], off[:, 1])  # each channel by itself


# The extractor


def test_an_answer_of_the_extractor_is_that_of_weights_that_can_be_written_down() -> None:
    own = network()
    extractor = Extractor(name="extractor", epochs=1, batch=40, start=0.5, bases=3)
    learned, images, ids = extractor.learn(own, lesson()), rand(5, 3, SIDE, SIDE), np.arange(5)
    found = extractor.around(own, learned)(images, Draws.of(ids, 0))
    draws = Draws.of(ids, 0)
    choice = (draws.uniform() * 3).long()
    signs = {name: (draws.signs(inner), draws.signs(outer)) for name, inner, outer in (("0", 3, 4), ("2", 4, 5))}
    for number in range(5):
        explicit = network()
        stream = Draws(learned["seeds"][choice[number]][None])
        for name, (incoming, outgoing) in signs.items():
            deviation = learned[f"deviation.{name}"]
            base = deviation * stream.normal(*deviation.shape)[0]
            flips = outgoing[number][:, None, None, None] * incoming[number][:, None, None]
            explicit.get_submodule(name).weight = nn.Parameter(learned[f"mean.{name}"] + base * flips)
        torch.testing.assert_close(explicit(images[number : number + 1])[0], found[number])
    assert len(set(choice.tolist())) > 1


def test_the_extractor_draws_with_the_gaussians_mean_and_variance() -> None:
    """Of one convolution that sees the whole image; over many bases, those of the Gaussian itself."""
    layer = nn.Sequential(nn.Conv2d(3, K, SIDE, bias=False), nn.Flatten()).requires_grad_(False)
    deviation, image = {"0": 0.05 + 0.1 * rand(K, 3, SIDE, SIDE)}, rand(1, 3, SIDE, SIDE, seed=6)
    for bases in (2, 300):
        drawn_bases = perturbed(deviation, Draws.of(np.arange(bases), 0).seeds)
        logits = flipped(layer, drawn_bases)(*repeated(image))
        each = torch.stack(drawn_bases["0"])
        variance = (each * image[0]).sum((3, 4)).square().sum(2).mean(0)
        assert ((logits.mean(0) - layer(image)[0]).abs() < 4 * (variance / MANY).sqrt()).all()
        torch.testing.assert_close(logits.var(0), variance, rtol=0.08, atol=0)
    gaussian = (deviation["0"] ** 2 * image[0] ** 2).sum((1, 2, 3))
    torch.testing.assert_close(variance, gaussian, rtol=0.25, atol=0)


# The ensemble


def test_the_ensemble_is_the_mean_probability_of_its_members() -> None:
    ensemble, own, images = Ensemble(name="ensemble", networks=3), network(), rand(7, 3, SIDE, SIDE)
    learned = ensemble.learn(own, lesson())
    by_hand = torch.stack([torch.softmax(network(K, seed)(images), 1) for seed in (0, 1, 2)]).mean(0)
    found = ensemble.around(own, learned)(images, Draws.of(np.arange(7), 0))
    torch.testing.assert_close(found.exp(), by_hand)
    members = ensemble.members(own, learned)
    assert len(members) == 3 and members[0] is own
    for seed, member in enumerate(members):
        torch.testing.assert_close(member(images), network(K, seed)(images))
    same = Ensemble(name="ensemble", networks=2).around(own, {f"1.{k}": v for k, v in own.state_dict().items()})
    torch.testing.assert_close(same(images, Draws.of(np.arange(7), 0)), torch.log_softmax(own(images), 1))


def test_a_last_layer_without_a_bias_has_no_feature_for_it() -> None:
    for bias in (True, False):
        own, images = network(bias=bias), rand(4, 3, SIDE, SIDE)
        last = LastLayer.of(own)
        assert last.weight.shape == (K, 20 + bias)
        torch.testing.assert_close(last.features(images) @ last.weight.T, own(images))
