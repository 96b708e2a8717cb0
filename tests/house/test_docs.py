"""The examples of docs/extending.md run as they stand, and links between pages lead somewhere."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from pixelprune.attacks.balls import LinfBall
from pixelprune.draws import Draws
from pixelprune.maps.map import Source

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("studies/*/README.md"))]
DRAWS = Draws.of(np.arange(4), 0)
IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def example(name: str):
    """The class that a block of the page defines."""
    page = (ROOT / "docs/extending.md").read_text()
    (block,) = [code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if f"class {name}(" in code]
    namespace: dict = {"__name__": f"example_{name}"}
    exec(compile(block, name, "exec"), namespace)  # noqa: S102 - our own page
    return namespace[name]


def test_the_map():
    ranks = example("Corners")(name="corners", reads="data/raw")(IMAGES, np.arange(4), Source())
    assert ranks.shape == (4, 8, 8)
    assert ranks[0, 0, 0] == ranks.max() > ranks[0, 4, 4]


def test_the_fill():
    mask = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1)) < 0.5
    filled = example("Gray")(name="gray")(IMAGES, mask)
    assert torch.equal(filled, torch.where(mask, IMAGES, 0.5))


def test_the_attack():
    weight = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(2))
    mask = torch.zeros(4, 1, 8, 8, dtype=torch.bool)
    mask[..., :4] = True

    def model(images):
        score = (images * weight).sum((1, 2, 3))
        return torch.stack([score, -score], 1)

    labels = model(IMAGES).argmax(1)
    found = example("Inverse")()(model, IMAGES, labels, ball=LinfBall(eps=0.1), mask=mask, draws=DRAWS)
    assert (found - IMAGES).abs().max() <= 0.1 + 1e-6
    assert torch.equal(found[..., 4:], IMAGES[..., 4:])


def test_the_training():
    weight = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    mask = torch.zeros(4, 1, 8, 8, dtype=torch.bool)
    mask[..., :4] = True
    training, labels = example("Stable")(), torch.tensor([0, 1, 2, 0])

    def model(images):
        return torch.einsum("nchw,kchw->nk", images, weight)

    perturbed = training.perturb(model, IMAGES, labels, mask, torch.Generator().manual_seed(1))
    assert torch.equal(perturbed[..., 4:], IMAGES[..., 4:])
    loss, logits = training.loss(model, IMAGES, perturbed, labels)
    assert loss > torch.nn.functional.cross_entropy(model(IMAGES), labels)
    assert torch.equal(logits, model(perturbed))


def test_the_examples_make_tensors_where_the_images_are():
    page = (ROOT / "docs/extending.md").read_text()
    made = re.findall(r"torch\.(?:arange|linspace|zeros|ones|full|tensor)\((?:[^()]|\([^()]*\))*\)", page)
    assert made
    assert all("device=images.device" in call for call in made), made


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_every_command_of_the_readme_exists():
    commands = {path.stem for path in (ROOT / "src/pixelprune/commands").glob("[a-z]*.py")}
    for page in PAGES:
        assert set(re.findall(r"python -m pixelprune (\w+)", page.read_text())) <= commands
        targets = set(re.findall(r"`make (\w+)`", page.read_text()))
        assert targets <= set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
