"""Reversal's pieces: views, the contrastive loss by hand, what the search may do, and how it is derived."""

from dataclasses import replace
from math import exp, log, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional

from pixelprune import artifacts
from pixelprune.attacks.fresh import Fresh
from pixelprune.attacks.mean import Mean
from pixelprune.defenses.contrast import contrastive_head, info_nce
from pixelprune.defenses.defense import Lesson
from pixelprune.defenses.reversal import UNROLLED, Reversal
from pixelprune.defenses.views import LIGHT, LONGEST, SMALLEST, TURN, View, drawn, seen
from pixelprune.draws import Draws

N, SIDE = 6, 8
IDS = np.arange(N)


def rand(*shape: int, seed: int = 2) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def untouched(count: int) -> View:
    none, one = torch.zeros(count), torch.ones(count)
    return View(none, none, one, one, none.bool(), one, one, one, none)


def network(*, smooth: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    bend = nn.Softplus() if smooth else nn.ReLU()
    layers = nn.Sequential(nn.Conv2d(3, 6, 3), bend, nn.Flatten(), nn.Linear(6 * 36, 3))
    return layers.eval().requires_grad_(False)


def learned(options: Reversal, model: nn.Module) -> dict[str, Tensor]:
    """A head that has learned nothing."""
    features = next(layer for layer in model.modules() if isinstance(layer, nn.Linear)).in_features
    return contrastive_head(features, options.hidden, options.size, torch.Generator().manual_seed(3)).state_dict()


def small(**options: object) -> Reversal:
    return Reversal.model_validate({"name": "reversal", "hidden": 12, "size": 5, "steps": 3} | options)


# Views


def test_a_view_without_change_is_the_image() -> None:
    images = rand(N, 3, SIDE, SIDE + 2)
    torch.testing.assert_close(seen(images, untouched(N)), images, atol=1e-6, rtol=0)


def test_a_part_is_that_of_linear_sampling() -> None:
    images, view = rand(N, 3, SIDE, SIDE + 2), drawn(Draws.of(IDS, 0))
    parts = replace(untouched(N), top=view.top, left=view.left, height=view.height, width=view.width)
    theta = torch.zeros(N, 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = parts.width, 2 * parts.left + parts.width - 1
    theta[:, 1, 1], theta[:, 1, 2] = parts.height, 2 * parts.top + parts.height - 1
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    wanted = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(seen(images, parts), wanted, atol=1e-5, rtol=0)
    mirrored = replace(parts, mirrored=torch.ones(N, dtype=torch.bool))
    torch.testing.assert_close(seen(images, mirrored), wanted.flip(3), atol=1e-5, rtol=0)


def test_colours_change_as_their_words_say() -> None:
    images = 0.3 + 0.2 * rand(N, 3, SIDE, SIDE)  # far from the clip
    light = (images * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    half = torch.full((N,), 0.5)
    for change, wanted in {
        "brightness": images / 2,
        "contrast": (images + light.mean((1, 2, 3), keepdim=True)) / 2,
        "saturation": (images + light) / 2,
    }.items():
        torch.testing.assert_close(seen(images, replace(untouched(N), **{change: half})), wanted, atol=1e-5, rtol=0)
    gray = seen(images, replace(untouched(N), saturation=torch.zeros(N)))
    torch.testing.assert_close(gray, light.expand_as(gray), atol=1e-5, rtol=0)
    turned = seen(images, replace(untouched(N), hue=torch.full((N,), 0.7)))
    assert (turned - images).abs().max() > 0.01
    back = seen(turned, replace(untouched(N), hue=torch.full((N,), -0.7)))
    torch.testing.assert_close(back, images, atol=1e-5, rtol=0)
    torch.testing.assert_close(seen(gray, replace(untouched(N), hue=half)), gray, atol=1e-5, rtol=0)
    bright = seen(images, replace(untouched(N), brightness=torch.full((N,), 9.0)))
    assert bright.max() == 1


def test_views_are_drawn_within_their_bounds_and_often_enough() -> None:
    view = drawn(Draws.of(np.arange(4000), 0))
    area, ratio = view.height * view.width, view.width / view.height
    assert (view.top >= 0).all() and (view.top + view.height <= 1 + 1e-6).all()
    assert (view.left >= 0).all() and (view.left + view.width <= 1 + 1e-6).all()
    uncut = (view.height < 1) & (view.width < 1)
    assert area.min() > SMALLEST - 1e-6 and area.min() < SMALLEST + 0.01 and area.max() > 0.9
    assert ratio[uncut].max() < LONGEST + 1e-5 and ratio[uncut].min() > 1 / LONGEST - 1e-5 and ratio.max() > 1.3
    still = (view.brightness == 1) & (view.contrast == 1) & (view.hue == 0)
    gray = view.saturation == 0
    for share, wanted in ((still, 0.2), (gray, 0.2), (still & gray, 0.04), (view.mirrored, 0.5)):
        assert abs(float(share.float().mean()) - wanted) < 5 * (wanted * (1 - wanted) / 4000) ** 0.5
    for factor in (view.brightness, view.contrast, view.saturation[~gray]):
        assert 1 - LIGHT <= factor.min() < 0.25 and 1.75 < factor.max() <= 1 + LIGHT
    assert abs(view.hue.abs().max().item() - 2 * torch.pi * TURN) < 0.01


def test_a_view_depends_on_its_own_image_and_stream_alone() -> None:
    images, some = rand(N, 3, SIDE, SIDE), torch.tensor([4, 1])
    whole = seen(images, drawn(Draws.of(IDS, 0)))
    torch.testing.assert_close(seen(images[some], drawn(Draws.of(IDS[some], 0))), whole[some], atol=1e-6, rtol=0)
    assert len({tuple(row) for row in drawn(Draws.of(IDS, 0)).top[:, None].tolist()}) == N


def test_a_view_is_derived_twice() -> None:
    images, view = 0.4 + 0.1 * rand(2, 3, 4, 4).double(), drawn(Draws.of(IDS[:2], 1))
    images.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: seen(x, view), images)
    assert torch.autograd.gradgradcheck(lambda x: seen(x, view).square(), images)


# The contrastive loss


def test_the_loss_of_two_views_by_hand() -> None:
    """Angles of 0 and 90 degrees, and their second views at 60 and 90 degrees, of any length."""
    degrees = torch.deg2rad(torch.tensor([[0.0, 90.0], [60.0, 90.0]]))
    projected = torch.stack([degrees.cos(), degrees.sin()], 2) * torch.tensor([[[2.0], [0.1]], [[1.0], [30.0]]])
    t, s = 0.2, sqrt(3) / 2
    # The cosine of 0 and 60 degrees is 0.5; that of 0 and 90 is 0, that of 60 and 90 is s, twice each.
    first = log(exp(0.5 / t) + 2) - 0.5 / t
    partner = log(exp(0.5 / t) + 2 * exp(s / t)) - 0.5 / t
    # The views of the second image are one direction: 1 with each other, 0 and s with the others.
    second = log(exp(1 / t) + 1 + exp(s / t)) - 1 / t
    torch.testing.assert_close(info_nce(projected, t), torch.tensor([(first + partner) / 2, second]))


def test_of_four_views_the_first_other_one_is_the_answer_and_the_rest_compete() -> None:
    projected, t = rand(4, 3, 5) - 0.5, 0.2
    rows = [(view, image) for view in range(4) for image in range(3)]
    wanted = torch.zeros(3)
    for view, image in rows:
        to = {
            other: float(functional.cosine_similarity(projected[view, image], projected[other], dim=0)) / t
            for other in rows
            if other != (view, image)
        }
        partner = (1 if view == 0 else 0, image)
        wanted[image] += (log(sum(exp(value) for value in to.values())) - to[partner]) / 4
    torch.testing.assert_close(info_nce(projected, t), wanted)


def test_an_image_alone_has_nothing_to_be_told_from() -> None:
    assert info_nce(rand(2, 1, 5), 0.2).item() == 0


# The search


def test_without_steps_it_is_the_plain_network() -> None:
    model, images = network(), rand(N, 3, SIDE, SIDE)
    plain = small(steps=0)
    assert torch.equal(plain.around(model, learned(plain, model))(images, Draws.of(IDS, 0)), model(images))


@pytest.mark.parametrize("norm, radius", [("linf", 16 / 255), ("l2", 0.5)])
def test_a_reversed_image_lies_within_the_radius_and_the_pixel_range(norm: str, radius: float) -> None:
    model, options = network(), small(norm=norm, radius=radius, step=radius / 3, steps=8)
    images = rand(N, 3, SIDE, SIDE)
    images[0], images[1] = 0, 1
    found = options.shown(model, learned(options, model), images, Draws.of(IDS, 0))["reversed"]
    change = (found - images).flatten(1)
    length = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
    assert found.min() >= 0 and found.max() <= 1
    assert (length <= radius + 1e-6).all() and (length[2:] > 0.9 * radius).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_one_step_goes_against_the_gradient(norm: str) -> None:
    model, images = network(), 0.3 + 0.4 * rand(N, 3, SIDE, SIDE)
    options = small(norm=norm, steps=1, random_start=False)
    own = learned(options, model)
    at = images.clone().requires_grad_()
    loss = options.contrast(model, own)(at, Draws.of(IDS, 0).branch(1))
    (grad,) = torch.autograd.grad(loss.sum(), at)
    unit = grad.sign() if norm == "linf" else grad / grad.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    found = options.shown(model, own, images, Draws.of(IDS, 0))["reversed"]
    torch.testing.assert_close(found, images - 2 / 255 * unit, atol=1e-6, rtol=0)


def test_the_search_starts_anywhere_within_the_radius_or_at_the_image() -> None:
    model, images = network(), 0.3 + 0.4 * rand(N, 3, SIDE, SIDE)
    tiny = 1e-6
    for options, largest in ((small(steps=1, step=tiny), 16 / 255), (small(steps=1, step=tiny, random_start=False), 0)):
        found = options.shown(model, learned(options, model), images, Draws.of(IDS, 0))["reversed"]
        change = (found - images).abs()
        assert change.max() == pytest.approx(largest, rel=0.02, abs=2 * tiny)
        assert change.mean() == pytest.approx(largest / 2, rel=0.1, abs=2 * tiny)


def test_the_search_lowers_the_loss_it_searches_by() -> None:
    """Over other views than those of the search, on the average of many; a change the other way raises it."""
    model, images = network(), 0.3 + 0.4 * rand(N, 3, SIDE, SIDE)
    options = small(radius=0.5, step=0.02, steps=60, random_start=False)
    own = learned(options, model)
    contrast = options.contrast(model, own)
    found = options.shown(model, own, images, Draws.of(IDS, 0))["reversed"]
    before, after, opposite = (
        torch.stack([contrast(at, Draws.of(IDS, "others", word)) for word in range(50)]).mean().item()
        for at in (images, found, (2 * images - found).clamp(0, 1))
    )
    assert after < before - 0.1 and opposite > after + 0.1


def test_an_image_depends_on_the_others_of_its_batch_and_not_on_their_order() -> None:
    model, images = network(), rand(N, 3, SIDE, SIDE)
    options = small()
    drawn = options.around(model, learned(options, model))
    whole = drawn(images, Draws.of(IDS, 0))
    order = torch.tensor([3, 0, 5, 2, 1, 4])
    torch.testing.assert_close(drawn(images[order], Draws.of(IDS[order], 0)), whole[order], atol=1e-4, rtol=0)
    others = images.clone()
    others[1:] = rand(N - 1, 3, SIDE, SIDE, seed=9)
    assert (drawn(others, Draws.of(IDS, 0))[0] - whole[0]).abs().max() > 1e-3
    assert options.batch_coupled and options.dynamic and options.randomised


def test_the_same_streams_give_the_same_logits_and_others_do_not() -> None:
    model, images, draws = network(), rand(N, 3, SIDE, SIDE), Draws.of(IDS, 0)
    options = small()
    drawn = options.around(model, learned(options, model))
    first = drawn(images, draws)
    assert torch.equal(first, drawn(images, draws))
    assert not torch.equal(first, drawn(images, Draws.of(IDS, 1)))


# Its gradients


@pytest.mark.parametrize("gradient", ["identity", "unrolled"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_logits_do_not_depend_on_how_it_is_derived_nor_on_who_asks(norm: str, gradient: str) -> None:
    model, images = network().requires_grad_(), rand(N, 3, SIDE, SIDE)
    options = small(norm=norm, steps=UNROLLED + 2)
    own = learned(options, model)
    defended = options.around(model, own, "unrolled" if gradient == "unrolled" else "identity")
    with torch.no_grad():
        wanted = model(options.shown(model, own, images, Draws.of(IDS, 0))["reversed"])
        assert torch.equal(defended(images, Draws.of(IDS, 0)), wanted)
    start = images.clone().requires_grad_()
    found = defended(start, Draws.of(IDS, 0))
    assert torch.equal(found, wanted)
    (grad,) = torch.autograd.grad(found[:, 0].sum(), start)
    assert grad.isfinite().all() and grad.abs().sum() > 0
    assert start.grad is None and all(weight.grad is None for weight in model.parameters())


def test_the_identity_gradient_is_that_of_the_network_at_the_reversed_image() -> None:
    model, images = network(), rand(N, 3, SIDE, SIDE)
    options = small()
    own = learned(options, model)
    start = images.clone().requires_grad_()
    logits = options.around(model, own)(start, Draws.of(IDS, 0))
    (grad,) = torch.autograd.grad(logits[:, 1].sum(), start)
    there = options.shown(model, own, images, Draws.of(IDS, 0))["reversed"].requires_grad_()
    (wanted,) = torch.autograd.grad(model(there)[:, 1].sum(), there)
    assert torch.equal(grad, wanted)


@pytest.mark.parametrize("views", [2, 4])
@pytest.mark.parametrize("radius", [0.2, 0.03])
def test_the_unrolled_gradient_of_l2_steps_is_that_of_finite_differences(views: int, radius: float) -> None:
    """The smaller radius ends each step on the sphere, so that the projection is derived as well."""
    model, images = network(smooth=True).double(), 0.4 + 0.2 * rand(3, 3, SIDE, SIDE).double()
    options = small(norm="l2", radius=radius, step=0.02, steps=3, views=views)
    own = learned(options, model)
    # The kinks of its ReLU are far away with this bias: softly bent features alone would not do.
    own = {name: value.double() if value.is_floating_point() else value for name, value in own.items()}
    own["0.bias"] = own["0.bias"] + torch.where(torch.arange(12) % 2 == 0, 5.0, -5.0).double()
    weights = rand(3, 3, seed=5).double()

    def value(at: Tensor, gradient: str) -> Tensor:
        defended = options.around(model, own, "unrolled" if gradient == "unrolled" else "identity")
        return (defended(at, Draws.of(IDS[:3], 0)) * weights).sum()

    start = images.clone().requires_grad_()
    (unrolled,) = torch.autograd.grad(value(start, "unrolled"), start)
    (identity,) = torch.autograd.grad(value(start, "identity"), start)
    h, errors, gaps = 1e-6, [], []
    for place in torch.randperm(images.numel(), generator=torch.Generator().manual_seed(1))[:20]:
        aside = torch.zeros(images.numel(), dtype=torch.float64)
        aside[place] = h
        aside = aside.view_as(images)
        wanted = (value(images + aside, "identity") - value(images - aside, "identity")) / (2 * h)
        errors.append(float(abs(unrolled.flatten()[place] - wanted)))
        gaps.append(float(abs(identity.flatten()[place] - wanted)))
    assert max(errors) < 1e-5 * float(unrolled.abs().max())
    assert max(gaps) > 1e3 * max(errors)  # the search is a part of the gradient that cannot be left out


def test_an_unrolled_sign_step_is_derived_as_a_step_along_the_gradient() -> None:
    model, images = network(smooth=True), 0.4 + 0.2 * rand(3, 3, SIDE, SIDE)
    options = small(steps=1, random_start=False)
    own = learned(options, model)
    start = images.clone().requires_grad_()
    logits = options.around(model, own, "unrolled")(start, Draws.of(IDS[:3], 0))
    (grad,) = torch.autograd.grad(logits[:, 0].sum(), start)

    at = images.clone().requires_grad_()
    loss = options.contrast(model, own)(at, Draws.of(IDS[:3], 0).branch(1)).sum()
    (slope,) = torch.autograd.grad(loss, at, create_graph=True)
    there = (at.detach() - options.step * slope.detach().sign()).requires_grad_()
    (outer,) = torch.autograd.grad(model(there)[:, 0].sum(), there)
    length = slope.detach().sign().flatten(1).norm(dim=1)
    soft = at - options.step * slope * (length / slope.flatten(1).norm(dim=1)).view(-1, 1, 1, 1)
    (wanted,) = torch.autograd.grad(soft, at, outer)
    torch.testing.assert_close(grad, wanted, atol=1e-6, rtol=1e-4)


def test_longer_searches_are_derived_through_their_last_steps() -> None:
    """As if the first ones had been made before, and were constant."""
    model, images = network(), 0.4 + 0.2 * rand(3, 3, SIDE, SIDE)
    found = {}
    for steps in (UNROLLED, UNROLLED + 1):
        options = small(norm="l2", steps=steps, random_start=False)
        start = images.clone().requires_grad_()
        logits = options.around(model, learned(options, model), "unrolled")(start, Draws.of(IDS[:3], 0))
        nodes, seen_nodes = [logits.grad_fn], set()
        while nodes:
            node = nodes.pop()
            if node is None or node in seen_nodes:
                continue
            seen_nodes.add(node)
            nodes += [before for before, _ in node.next_functions]
        found[steps] = len(seen_nodes)
    assert found[UNROLLED] == found[UNROLLED + 1]


def test_an_image_alone_is_derived_without_nan() -> None:
    model, options = network(), small()
    start = rand(1, 3, SIDE, SIDE).requires_grad_()
    logits = options.around(model, learned(options, model), "unrolled")(start, Draws.of(IDS[:1], 0))
    (grad,) = torch.autograd.grad(logits.sum(), start)
    assert grad.isfinite().all() and grad.abs().sum() > 0


@pytest.mark.parametrize("gradient", ["identity", "unrolled"])
def test_the_mean_over_draws_derives_the_draws_that_it_saw(gradient: str) -> None:
    model, images = network(), rand(4, 3, SIDE, SIDE)
    options = small()
    drawn = options.around(model, learned(options, model), "unrolled" if gradient == "unrolled" else "identity")
    start = images.clone().requires_grad_()
    log_mean = Mean(drawn, Fresh.of(Draws.of(IDS[:4], 0)), 3)(start)
    (grad,) = torch.autograd.grad(log_mean[:, 1].sum(), start)
    again = images.clone().requires_grad_()
    draws = Fresh.of(Draws.of(IDS[:4], 0)).next()
    by_hand = torch.stack([torch.softmax(drawn(again, draws.branch(k)), 1) for k in range(3)]).mean(0).log()
    (wanted,) = torch.autograd.grad(by_hand[:, 1].sum(), again)
    torch.testing.assert_close(log_mean, by_hand)
    torch.testing.assert_close(grad, wanted, atol=1e-6, rtol=1e-4)


# Learning


@pytest.mark.parametrize("views", [2, 4])
def test_the_head_learns_beside_a_network_that_stays_as_it_is(views: int, tmp_path: Path) -> None:
    model, pictures = network().requires_grad_(), (255 * rand(80, 3, SIDE, SIDE)).byte()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    told: list[str] = []
    options = small(views=views, hidden=32, epochs=8, batch=32, learning_rate=1e-2)
    lesson = Lesson(pictures, torch.zeros(80).long(), torch.Generator().manual_seed(1), told.append)
    own = options.learn(model, lesson)
    losses = [float(line.rpartition(" ")[2]) for line in told]
    assert len(losses) == 8 and all(later < losses[0] for later in losses[4:])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters()) and not model.training

    images, streams = pictures / 255, [Draws.of(np.arange(80), "held out", word) for word in range(10)]
    untrained = options.contrast(model, learned(options, model))
    trained = options.contrast(model, own)
    with torch.no_grad():
        gain = torch.stack([untrained(images, one) - trained(images, one) for one in streams]).mean()
    assert gain > 0.1

    artifacts.save_tensors(tmp_path / "learned.safetensors", own)
    loaded = artifacts.load_tensors(tmp_path / "learned.safetensors")
    assert torch.equal(
        options.around(model, loaded)(images[:4], Draws.of(IDS[:4], 0)),
        options.around(model, own)(images[:4], Draws.of(IDS[:4], 0)),
    )
    again = options.learn(model, replace(lesson, generator=torch.Generator().manual_seed(1), tell=told.append))
    assert all(torch.equal(one, other) for one, other in zip(own.values(), again.values()))


def test_an_image_is_seen_by_the_head_of_its_running_statistics() -> None:
    """In eval mode: its own loss's projections depend on no batch."""
    model, options = network(), small()
    own = learned(options, model)
    own["1.running_mean"] += 0.3
    head = contrastive_head(216, 12, 5, torch.Generator())
    head.load_state_dict(own)
    images, draws = rand(N, 3, SIDE, SIDE), Draws.of(IDS, 0)
    looks = torch.cat([seen(images, drawn(draws.branch(number))) for number in range(2)])
    wanted = info_nce(head.eval()(model[:3](looks)).view(2, N, 5), 0.2)
    torch.testing.assert_close(options.contrast(model, own)(images, draws), wanted)


def test_a_radius_beyond_the_pixel_range_is_a_mistake_of_gray_levels() -> None:
    small(norm="l2", radius=2.0)
    with pytest.raises(ValidationError, match='write "16/255"'):
        small(radius=16.0)
    with pytest.raises(ValidationError):
        small(views=3)
