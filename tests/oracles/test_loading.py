"""One line to a trained model: it classifies as the pipeline did, with masks that it computes itself."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pixelprune import pruned, selecting
from pixelprune.datasets import split
from pixelprune.errors import ArtifactError
from pixelprune.loading import load_model
from pixelprune.pruning import FrozenModel

ROOT = Path(__file__).parents[2]

PARAMS = """
root: .
dataset: {name: signs, train: 100, test: 60, validation: 0.2, size: 24}
segmenters: {outline: {name: outline}, grabcut: {name: grabcut}, annotation: {name: annotation}}
maps:
  constant: {name: constant, reads: data/raw}
  foreground: {name: foreground, reads: data/segments/outline}
  cut: {name: foreground, reads: data/segments/grabcut}
  exact: {name: foreground, reads: data/segments/annotation}
  variance: {name: variance, reads: data/raw}
  smoothgrad: {name: smoothgrad, reads: models/none/adversarial/0, samples: 2}
strategies:
  none: {map: constant, keep: 1, fill: black}
  foreground: {map: foreground, keep: own, fill: mean}
  cut: {map: cut, keep: 0.4, fill: black}
  exact: {map: exact, keep: own, fill: black}
  variance: {map: variance, keep: 0.5, fill: noise}
  smoothgrad: {map: smoothgrad, keep: 0.5, fill: black}
network: {name: residual, widths: [8], stride: 2}
trainings:
  adversarial: {name: n_fgsm, eps: 2/255, epochs: 2, batch: 20, validation_images: 1, validation_steps: 1}
silhouette: {name: natural, epochs: 1, batch: 80, validation_images: 1, validation_steps: 1}
"""


def stage(name: str, *words: str) -> None:
    sys.argv = [name, *words]
    runpy.run_path(str(ROOT / "stages" / f"{name}.py"), run_name="__main__")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loaded")
    (folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", [])
        stage("download")
        for segmenter in ("outline", "grabcut", "annotation"):
            stage("segment", segmenter)
        for strategy, map_ in [
            ("none", "constant"), ("foreground", "foreground"), ("cut", "cut"), ("exact", "exact"),
            ("variance", "variance"), ("smoothgrad", "smoothgrad"),
        ]:  # fmt: skip
            stage("importance", map_)
            stage("prune", strategy)
            stage("train", strategy, "adversarial", "0")
    return folder


def images(study: Path) -> Tensor:
    test = split.load(study / "data/raw", "test")
    return torch.from_numpy(np.array(test.images)).permute(0, 3, 1, 2).float() / 255


def ids(study: Path) -> NDArray[np.int64]:
    return np.array(split.load(study / "data/raw", "test").ids)


def pipeline(study: Path, strategy: str) -> tuple[Tensor, Tensor]:
    """Stored masks, and the logits that the attack stage writes into clean.parquet."""
    network = selecting.load_network(study / "models" / strategy / "adversarial/0")
    applied = pruned.load(study / "data/pruned" / strategy)
    masks, pixels = applied.masks("test", 60), images(study)
    return masks, FrozenModel(network, masks, applied.fill)(pixels)


@pytest.mark.parametrize("strategy", ["none", "foreground", "cut", "variance", "smoothgrad"])
def test_it_classifies_the_test_images_as_the_pipeline_did(study: Path, strategy: str) -> None:
    model = load_model(f"{strategy}/adversarial/0", study=study, device="cpu")
    masks, logits = pipeline(study, strategy)
    found = model(images(study), ids(study))
    assert isinstance(model, nn.Module)
    assert not model.training and not any(module.training for module in model.modules())
    assert (found.argmax(1) != logits.argmax(1)).float().mean() <= 0.002
    torch.testing.assert_close(
        model.mask(images(study), ids(study)).float().mean(), masks.float().mean(), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("strategy", ["none", "foreground", "cut", "variance"])
def test_the_masks_it_computes_are_the_stored_ones(study: Path, strategy: str) -> None:
    model, (masks, _) = load_model(f"{strategy}/adversarial/0", study=study, device="cpu"), pipeline(study, strategy)
    assert torch.equal(model.mask(images(study), ids(study)), masks)
    if strategy != "cut":  # GrabCut draws by the id
        assert torch.equal(model.mask(images(study)), masks)


def test_an_image_does_not_depend_on_its_batch(study: Path) -> None:
    model, pixels = load_model("foreground/adversarial/0", study=study, device="cpu"), images(study)
    torch.testing.assert_close(model(pixels[7:9]), model(pixels)[7:9], atol=1e-5, rtol=1e-4)


def test_keep_1_is_the_bare_network_bit_for_bit(study: Path) -> None:
    model, pixels = load_model("none/adversarial/0", study=study, device="cpu"), images(study)
    network = selecting.load_network(study / "models/none/adversarial/0")
    assert torch.equal(model(pixels), network(pixels))
    assert model.mask(pixels).all()


def test_gradients_reach_the_kept_pixels_alone(study: Path) -> None:
    model = load_model("foreground/adversarial/0", study=study, device="cpu")
    pixels = images(study)[:8].requires_grad_()
    (grad,) = torch.autograd.grad(model(pixels).square().sum(), pixels)
    kept = model.mask(pixels.detach()).expand_as(grad)
    assert not grad[~kept].any()
    assert grad[kept].any()


def test_a_run_that_is_not_there_names_its_neighbours(study: Path) -> None:
    with pytest.raises(ArtifactError) as error:
        load_model("foregruond/adversarial/0", study=study)
    start = f"{study / 'models/foregruond/adversarial/0'}: no such run. Near: foreground/adversarial/0"
    assert str(error.value).startswith(start)
    assert str(error.value).endswith(". Run `dvc repro`, or `dvc pull`.")
    with pytest.raises(ArtifactError) as error:
        load_model("xyz", study=str(study))
    runs = [f"{key}/adversarial/0" for key in ("cut", "exact", "foreground", "none", "smoothgrad", "variance")]
    assert f"There is: {', '.join(runs)}. " in str(error.value)


def test_a_study_without_runs(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as error:
        load_model("none/natural/0", study=tmp_path)
    path = tmp_path / "models/none/natural/0"
    assert str(error.value) == f"{path}: no such run. There is: none. Run `dvc repro`, or `dvc pull`."


def test_an_oracle_is_refused(study: Path) -> None:
    with pytest.raises(ArtifactError) as error:
        load_model("exact/adversarial/0", study=study)
    assert str(error.value) == (
        "exact/adversarial/0: its masks come from annotation. Use load_model with a strategy that has a segmenter."
    )


@pytest.mark.parametrize("shape", [(3, 24, 24), (2, 1, 24, 24), (2, 24, 24, 3)])
def test_images_of_another_shape_are_refused(study: Path, shape: tuple[int, ...]) -> None:
    model = load_model("variance/adversarial/0", study, "cpu")
    with pytest.raises(
        ValueError, match=rf"images: found shape \({', '.join(map(str, shape))}\), expected \(N, 3, H, W\)"
    ):
        model(torch.zeros(shape))
