"""Weights from elsewhere: they come back as they were saved, in every format, or one message says why not."""

import hashlib
import os
import runpy
import sys
import types
import zipfile
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelprune import artifacts, params
from pixelprune.datasets import mirror
from pixelprune.errors import ParamsError, PixelpruneError
from pixelprune.loading import load_model
from pixelprune.models.catalog import Network
from pixelprune.models.network import Normalize
from pixelprune.models.robustbench import RobustBench
from pixelprune.models.torchvision import TorchvisionNetwork
from pixelprune.training import checkpoint, pretrained
from pixelprune.training.catalog import Learning, Training
from pixelprune.training.pretrained import Pretrained
from pixelprune.training.run import build

ROOT = Path(__file__).parents[2]
CLASSES = ["ant", "bee", "cow", "dog"]
RESIDUAL = {"name": "residual", "widths": [6, 8]}
IMAGES = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(3))
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def trained(options: dict[str, Any] = RESIDUAL, classes: int = 4) -> nn.Module:
    """A network whose every number is one of its own, the statistics of BatchNorm and the normalization too."""
    network: nn.Module = params.validated(options, Network).build(classes, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    for name, value in network.state_dict().items():
        if value.is_floating_point() and not name.endswith("weight"):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return network.eval()


def save(path: Path, tensors: dict[str, Tensor]) -> None:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(tensors, path)
    elif path.suffix == ".npz":
        np.savez(path, **{name: value.numpy() for name, value in tensors.items()})  # type: ignore[arg-type]
    else:
        torch.save(tensors, path)


def given(path: Path, **options: Any) -> Pretrained:
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "0" * 64
    entry = {"name": "pretrained", "weights": str(path), "sha256": digest, "architecture": RESIDUAL}
    found: Pretrained = params.validated(entry | options, Training)
    return found


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".npz"])
def test_a_saved_network_comes_back_with_identical_logits(suffix: str, tmp_path: Path) -> None:
    network, path = trained(), tmp_path / f"weights{suffix}"
    save(path, network.state_dict())
    assert torch.equal(given(path).network(CLASSES)(IMAGES), network(IMAGES))


def bare(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As others publish them: our normalization is not there, the part behind it has no prefix."""
    return {name.removeprefix("1."): value for name, value in tensors.items() if not name.startswith("0.")}


@pytest.mark.parametrize(
    "written",
    [
        bare,
        lambda tensors: {f"module.{name}": value for name, value in bare(tensors).items()},
        lambda tensors: {f"module.model.{name}": value for name, value in bare(tensors).items()},
        lambda tensors: {name: value for name, value in bare(tensors).items() if "num_batches" not in name},
        lambda tensors: {"epoch": 3, "state_dict": bare(tensors)},
        lambda tensors: {"model": {f"module.{name}": value for name, value in bare(tensors).items()}, "acc": 0.9},
    ],
    ids=["no prefix", "module", "two prefixes", "no counts", "nested", "nested, module"],
)
def test_weights_of_others_are_found_under_their_names(
    written: Callable[[dict[str, Tensor]], dict[str, Any]], tmp_path: Path
) -> None:
    network, path = trained({"name": "resnet20"}), tmp_path / "weights.pt"
    torch.save(written(network.state_dict()), path)
    taken = given(path, architecture={"name": "resnet20"}, mean=list(MEAN), std=list(STD)).network(CLASSES)
    normalized = (IMAGES - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    torch.testing.assert_close(taken(IMAGES), network[1](normalized), rtol=1e-5, atol=1e-5)  # type: ignore[index]


def test_outputs_are_put_into_the_order_of_the_data_set(tmp_path: Path) -> None:
    network, path = trained(), tmp_path / "weights.npz"
    save(path, network.state_dict())
    logits = network(IMAGES)
    own = ["cow", "ant", "dog", "bee"]
    torch.testing.assert_close(given(path, classes=own).network(CLASSES)(IMAGES), logits[:, [1, 3, 0, 2]])
    two = given(path, classes=own).network(["dog", "ant"])
    torch.testing.assert_close(two(IMAGES), logits[:, [2, 1]])
    again = params.validated(RESIDUAL, Network).build(2, torch.Generator())
    again.load_state_dict(two.state_dict())


def refused(entry: Pretrained, classes: list[str] = CLASSES) -> str:
    with pytest.raises(PixelpruneError) as error:
        entry.network(classes)
    return str(error.value)


def changed(path: Path, change: Callable[[dict[str, Tensor]], Any]) -> Path:
    tensors = dict(trained().state_dict())
    change(tensors)
    save(path, tensors)
    return path


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(pretrained.MIRROR, raising=False)
    path = tmp_path / "weights.pt"
    assert refused(given(path)) == (
        f"{path}: no such file; looked for {path}. Put it there, or let PIXELPRUNE_MIRROR name a folder that has it."
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(pretrained.MIRROR, "/nowhere")
    assert refused(given(Path("a/weights.pt"))) == (
        "a/weights.pt: no such file; looked for a/weights.pt and /nowhere/a/weights.pt. Put it there."
    )


def test_the_study_s_own_file_comes_before_the_mirror_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pretrained.MIRROR == mirror.VARIABLE
    other, here = tmp_path / "mirror/weights", tmp_path / "study/weights"
    other.mkdir(parents=True), here.mkdir(parents=True)
    entry = given(changed(other / "w.npz", lambda tensors: None), weights="weights/w.npz")
    monkeypatch.chdir(tmp_path / "study")
    monkeypatch.setenv(pretrained.MIRROR, str(tmp_path / "mirror"))
    assert torch.equal(entry.network(CLASSES)(IMAGES), trained()(IMAGES))
    (here / "w.npz").write_bytes(b"mine")
    found = hashlib.sha256(b"mine").hexdigest()
    assert refused(entry).startswith(f"weights/w.npz: found sha256 {found}, expected {entry.sha256}. Get the file")


def test_other_bytes_than_the_digest_s_are_not_read(tmp_path: Path) -> None:
    path = changed(tmp_path / "weights.safetensors", lambda tensors: None)
    entry = given(path)
    path.write_bytes(path.read_bytes() + b"\0")
    assert refused(entry).startswith(f"{path}: found sha256 ")


def test_wrong_names_are_told_with_the_nearest(tmp_path: Path) -> None:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors["8.weihgt"] = tensors.pop("8.weight")

    path = changed(tmp_path / "weights.npz", change)
    assert refused(given(path)) == (
        f"{path}: not the weights of this architecture: missing 8.weight (near: 8.weihgt); "
        "unknown 8.weihgt (near: 8.weight). Name the architecture that they were trained in."
    )
    said = refused(given(path, architecture={"name": "resnet20"}))
    assert "missing 1.bn1.bias" in said and "; unknown 1.weight" in said and said.count(" more") == 2


def test_a_lacking_statistic_is_missed(tmp_path: Path) -> None:
    path = changed(tmp_path / "weights.npz", lambda tensors: tensors.pop("2.running_var"))
    assert "missing 2.running_var; nothing unknown" in refused(given(path))


def test_wrong_shapes_and_kinds_of_numbers_are_told(tmp_path: Path) -> None:
    path = changed(tmp_path / "weights.npz", lambda tensors: None)
    said = refused(given(path, architecture=RESIDUAL | {"widths": [6, 10]}))
    assert "5.body.0.weight: found float32 (8, 6, 3, 3), expected float32 (10, 6, 3, 3);" in said
    assert "and 13 more. Name the architecture, its options and the classes" in said
    path = changed(tmp_path / "kinds.npz", lambda tensors: tensors.update({"1.weight": tensors["1.weight"].int()}))
    assert "1.weight: found int32 (6, 3, 4, 4), expected float32 (6, 3, 4, 4). Name" in refused(given(path))


def test_a_wrong_number_of_classes_is_told(tmp_path: Path) -> None:
    path = changed(tmp_path / "weights.npz", lambda tensors: None)
    assert refused(given(path), CLASSES[:3]) == (
        f"{path}: found weights of 4 classes, expected the 3 of the data set. "
        "Name what its outputs stand for in `classes`, in their order."
    )
    assert "expected the 5 that are named in classes." in refused(given(path, classes=[*CLASSES, "eel"]))
    assert refused(given(path, classes=["ant", "bee", "cwo", "dog"])) == (
        f"{path}: no output stands for 'cow'; did you mean 'cwo'?; classes has to name each of the data set's: "
        "ant, bee, cow, dog."
    )


def test_the_normalization_is_given_once(tmp_path: Path) -> None:
    path = changed(tmp_path / "weights.npz", lambda tensors: None)
    assert refused(given(path, mean=[0, 0, 0], std=[1, 1, 1])).endswith("normalizes by itself: leave out mean and std.")
    path = changed(tmp_path / "bare.npz", lambda tensors: (tensors.pop("0.mean"), tensors.pop("0.std")))
    assert "holds no normalization. Give mean and std" in refused(given(path))
    given(path, mean=[0, 0, 0], std=[1, 1, 1]).network(CLASSES)
    with pytest.raises(ParamsError, match="give mean and std both, or none of them"):
        given(path, mean=[0, 0, 0])


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = changed(tmp_path / "weights.pt", lambda tensors: tensors["8.bias"].fill_(float("nan")))
    assert refused(given(path)) == f"{path}: 8.bias holds numbers that are not finite. Get the file again."


@pytest.mark.parametrize(
    "odd", [torch.eye(3).to_sparse(), torch.zeros(3).to(torch.float8_e4m3fn), torch.zeros(3, device="meta")]
)
def test_tensors_of_odd_kinds_are_refused(odd: torch.Tensor, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"8.bias": odd}, path)
    assert refused(given(path)).startswith(f"{path}: ")


class Evil:
    """Pickled as a call that leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_with_code_is_refused_and_none_of_it_runs(zipped: bool, tmp_path: Path) -> None:
    path, trace = tmp_path / "weights.pt", tmp_path / "trace"
    torch.save({"1.weight": Evil(trace)}, path, _use_new_zipfile_serialization=zipped)
    assert "not a whole .pt file of plain tensors" in refused(given(path))
    path = tmp_path / "weights.npz"
    np.savez(path, a=np.array([Evil(trace)], dtype=object))
    assert "not a whole .npz file of plain tensors" in refused(given(path))
    assert not trace.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".npz"])
@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut"])
def test_what_is_no_checkpoint_is_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    assert f"{path}: not a whole {suffix} file of plain tensors" in refused(given(path))


def test_what_holds_no_tensors_or_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"epoch": 3, "optimizer": {}}, path)
    assert "found a mapping of 'epoch', 'optimizer', expected names of tensors" in refused(given(path))
    torch.save([torch.zeros(3)], path)
    assert "found list, expected names of tensors" in refused(given(path))
    assert "found the suffix '.bin', expected one of .safetensors, .pt, .pth, .npz" in refused(
        given(changed(tmp_path / "weights.bin", lambda tensors: None))
    )
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(100_000))
    monkeypatch.setattr(checkpoint, "LIMIT", 99_999)
    assert "unpacks to 100,000 bytes, expected at most 99,999" in refused(given(tmp_path / "bomb.npz"))


def by_hand(tensors: dict[str, Tensor], images: Tensor) -> Tensor:
    """ResNet-20 with shortcuts of option A, straight from the paper's section 4.2."""

    def layer(features: Tensor, place: str, number: int, stride: int = 1) -> Tensor:
        out = functional.conv2d(features, tensors[f"{place}conv{number}.weight"], stride=stride, padding=1)
        mean, var, weight, bias = (
            tensors[f"{place}bn{number}.{name}"].view(1, -1, 1, 1)
            for name in ("running_mean", "running_var", "weight", "bias")
        )
        return (out - mean) / (var + 1e-5).sqrt() * weight + bias

    features = layer(images, "", 1).clamp(min=0)
    for stage in (1, 2, 3):
        for block in range(3):
            place, stride = f"layer{stage}.{block}.", 2 if stage > 1 and block == 0 else 1
            out = layer(layer(features, place, 1, stride).clamp(min=0), place, 2)
            before = features.shape[1]
            shortcut = torch.zeros_like(out)
            start = (out.shape[1] - before) // 2
            shortcut[:, start : start + before] = features[:, :, ::stride, ::stride]
            features = (out + shortcut).clamp(min=0)
    return features.mean((2, 3)) @ tensors["linear.weight"].T + tensors["linear.bias"]


def test_resnet20_is_the_paper_s() -> None:
    network = trained({"name": "resnet20"}, 10)
    assert sum(weight.numel() for weight in network.parameters()) == 269_722  # "0.27M" in the paper's table 6
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == 20
    assert [layer.weight.shape[0] for layer in layers] == [16] * 7 + [32] * 6 + [64] * 6 + [10]
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    wanted = by_hand({name.removeprefix("1."): value for name, value in network.state_dict().items()}, images)
    torch.testing.assert_close(network[1](images), wanted, rtol=1e-4, atol=1e-4)  # type: ignore[index]


def test_torchvision_s_models_are_built_by_name() -> None:
    before = torch.random.get_rng_state()
    network = TorchvisionNetwork(model="squeezenet1_1").build(4, torch.Generator().manual_seed(0))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert isinstance(network[0], Normalize)  # type: ignore[index]
    with pytest.raises(
        ParamsError, match=r"no model 'resnt18'; did you mean 'resnet18'\?. There is: alexnet, convnext"
    ):
        TorchvisionNetwork(model="resnt18").build(4, torch.Generator())


def test_a_network_that_cannot_take_the_size_is_told() -> None:
    with pytest.raises(ParamsError, match=r"network torchvision: cannot take images of 32 x 32 \(.*too small\)"):
        build(TorchvisionNetwork(model="alexnet"), 4, torch.zeros(1, 3, 32, 32).byte(), 0, torch.device("cpu"))


def test_classes_need_a_linear_last_layer(tmp_path: Path) -> None:
    architecture = {"name": "torchvision", "model": "squeezenet1_1"}
    save(tmp_path / "weights.npz", trained(architecture).state_dict())
    assert given(tmp_path / "weights.npz", architecture=architecture).network(CLASSES)(torch.zeros(1, 3, 32, 32)).any()
    said = refused(given(tmp_path / "weights.npz", architecture=architecture, classes=CLASSES[::-1]))
    assert said.endswith("its last layer is not linear: leave out classes.")


class Names(Enum):
    first = "cifar10"
    second = "Linf"


class Zoo(nn.Module):
    """A model of a zoo: it holds its normalization as constants, which no checkpoint of it names."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mu", torch.full((1, 3, 1, 1), 0.5))
        self.fc = nn.Linear(3, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc((images - self.get_buffer("mu")).mean((2, 3)))
        return logits


def test_robustbench_s_models_are_built_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = {name: types.ModuleType(name) for name in ("robustbench", "robustbench.model_zoo")}
    models = types.ModuleType("robustbench.model_zoo.models")
    models.model_dicts = {Names.first: {Names.second: {"Small": {"model": Zoo}}}}  # type: ignore[attr-defined]
    for name, module in (packages | {models.__name__: models}).items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(ParamsError, match=r"no model 'Smal' for cifar10 and Linf; did you mean 'Small'\?"):
        RobustBench(model="Smal").build(10, torch.Generator())
    with pytest.raises(ParamsError, match=r"no model 'Small' for cifar10 and L2\. There is: none"):
        RobustBench(model="Small", threat="L2").build(10, torch.Generator())
    weights = {"fc.weight": torch.arange(30.0).view(10, 3), "fc.bias": torch.zeros(10)}
    save(tmp_path / "weights.pt", {f"module.{name}": value for name, value in weights.items()})
    names = [*CLASSES, *"efghij"]
    entry = given(tmp_path / "weights.pt", architecture={"name": "robustbench", "model": "Small"}, classes=names)
    wanted = (IMAGES - 0.5).mean((2, 3)) @ weights["fc.weight"].T
    torch.testing.assert_close(entry.network(["dog", "ant"])(IMAGES), wanted[:, [3, 0]])
    assert refused(given(tmp_path / "weights.pt", architecture=entry.architecture.model_dump(), mean=MEAN, std=STD),
                   names).endswith("leave out mean and std.")  # fmt: skip


def test_without_robustbench_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("robustbench", "robustbench.model_zoo", "robustbench.model_zoo.models"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(PixelpruneError, match="pip install git"):
        RobustBench(model="Standard").build(10, torch.Generator())


STUDY = f"""\
root: {ROOT}
dataset: {{name: signs, train: 100, test: 40, validation: 0.2, size: 24}}
maps: {{constant: {{name: constant, reads: data/raw}}}}
strategies: {{none: {{map: constant, keep: 1, fill: black}}}}
network: {{name: residual, widths: [8]}}
trainings:
  natural: {{name: natural, epochs: 2, batch: 20, validation_images: 9, validation_steps: 2}}
  given:
    name: pretrained
    weights: models/none/natural/0/model.safetensors
    sha256: DIGEST
    architecture: {{name: residual, widths: [8]}}
    validation_images: 9
    validation_steps: 2
silhouette: {{name: natural, epochs: 1, batch: 80, validation_images: 1, validation_steps: 1}}
"""


def stage(name: str, *words: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *words])
        runpy.run_path(str(ROOT / "stages" / f"{name}.py"), run_name="__main__")


def test_the_train_stage_takes_the_weights_of_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "params.yaml"
    path.write_text(STUDY.replace("DIGEST", "0f" * 32), encoding="utf-8")
    for words in [("download",), ("importance", "constant"), ("prune", "none"), ("train", "none", "natural", "0")]:
        stage(*words)
    capsys.readouterr()
    with pytest.raises(SystemExit) as ending:
        stage("train", "none", "given", "0")
    assert ending.value.code == 2 and not Path("models/none/given").exists()
    assert capsys.readouterr().err.startswith("error: models/none/natural/0/model.safetensors: found sha256 ")

    natural, own = Path("models/none/natural/0"), Path("models/none/given/0")
    digest = hashlib.sha256((natural / "model.safetensors").read_bytes()).hexdigest()
    path.write_text(STUDY.replace("DIGEST", digest), encoding="utf-8")
    stage("train", "none", "given", "0")
    assert capsys.readouterr().out.startswith("train none given 0: given weights, validation ")
    assert (own / "model.safetensors").read_bytes() == (natural / "model.safetensors").read_bytes()
    source, card = artifacts.load_json(natural / "card.json"), artifacts.load_json(own / "card.json")
    for key in (
        "network",
        "classes",
        "parameters",
        "macs",
        "validation_clean",
        "validation_robust",
        "validation_images",
    ):
        assert card[key] == source[key], key
    assert (card["epochs"], card["best_epoch"], card["train_images"]) == (0, 0, 0)
    assert card.keys() == source.keys()
    curve = pd.read_csv(own / "curve.csv")
    assert list(curve) == list(pd.read_csv(natural / "curve.csv")) and list(curve["epoch"]) == [0]
    images = torch.rand(3, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    assert torch.equal(load_model("none/given/0")(images), load_model("none/natural/0")(images))


def test_the_silhouette_s_network_has_to_learn() -> None:
    with pytest.raises(ParamsError, match="no such name 'pretrained'"):
        params.validated({"name": "pretrained"}, Learning)
