"""Calls that run what they read, draw from hidden state, or write past `artifacts`: none in the sources."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [*sorted(ROOT.glob("src/**/*.py")), *sorted(ROOT.glob("stages/*.py"))]

MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "random", "telnetlib"}
"""They run what they read, or draw from a generator that nobody passed."""

CALLS = {
    "torch.save": "safetensors",
    "yaml.unsafe_load": "yaml.safe_load",
    "yaml.full_load": "yaml.safe_load",
    "eval": "a function",
    "exec": "a function",
    "compile": "a function",
    "__import__": "an import",
    "os.system": "subprocess.run with a list",
    "os.popen": "subprocess.run with a list",
    "tempfile.mktemp": "artifacts.atomic",
    "torch.manual_seed": "a generator that is passed",
    "torch.seed": "a generator that is passed",
    "torch.cuda.manual_seed": "a generator that is passed",
    "torch.hub.load": "a model of ours",
}
METHODS = {"extractall": "members one by one", "unpack_archive": "members one by one", "to_pickle": "parquet"}
NUMPY_RANDOM = {"Generator", "Philox", "PCG64", "SeedSequence", "BitGenerator"}
TORCH_DRAWS = {"rand", "randn", "randint", "randperm", "bernoulli", "multinomial", "normal", "poisson"}
TORCH_LIKE = {"rand_like", "randn_like", "randint_like"}
IN_PLACE = {"uniform_", "normal_", "random_", "bernoulli_", "exponential_", "cauchy_", "log_normal_", "geometric_"}

ALLOWED = {
    # torchattacks and captum draw from the global generators: seeded from ours for the call and put back after it.
    "src/pixelprune/global_state.py": {
        "np.random.get_state", "np.random.set_state", "np.random.seed", "torch.manual_seed",
    },
}  # fmt: skip


def faults(tree: ast.AST) -> list[str]:
    return [f"line {node.lineno}: {fault}" for node in ast.walk(tree) for fault in _faults(node)]


def _faults(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [f"import {alias.name}" for alias in node.names if alias.name.split(".")[0] in MODULES]
    if isinstance(node, ast.ImportFrom):
        star = any(alias.name == "*" for alias in node.names)
        banned = not node.level and str(node.module).split(".")[0] in MODULES
        return [f"from {node.module} import"] if star or banned else []
    if isinstance(node, ast.Attribute):
        name = ast.unparse(node)
        legacy = re.fullmatch(r"(np|numpy)\.random\.(\w+)", name)
        return [f"{name}: a generator that is passed"] if legacy and legacy[2] not in NUMPY_RANDOM else []
    return _call(node) if isinstance(node, ast.Call) else []


def _call(node: ast.Call) -> list[str]:
    name = ast.unparse(node.func)
    method = name.rpartition(".")[2]
    words = {word.arg: word.value for word in node.keywords}
    found = []
    if name in CALLS:
        found.append(f"{name}: {CALLS[name]}")
    if method in METHODS and "." in name:
        found.append(f"{name}: {METHODS[method]}")
    if name == "yaml.load" and not any(
        "Safe" in ast.unparse(loader) or ast.unparse(loader) == "_Loader"
        for loader in [*node.args[1:], *words.values()]
    ):
        found.append("yaml.load: yaml.safe_load")
    if "shell" in words and ast.unparse(words["shell"]) != "False":
        found.append(f"{name}: shell")
    if "allow_pickle" in words and ast.unparse(words["allow_pickle"]) != "False":
        found.append(f"{name}: allow_pickle")
    if name in ("np.load", "np.save") and "allow_pickle" not in words:
        found.append(f"{name}: say allow_pickle=False")
    if name == "torch.load" and ast.unparse(words.get("weights_only", ast.Constant(None))) != "True":
        found.append("torch.load: weights_only=True")
    drawn = name.startswith("torch.") and method in TORCH_DRAWS
    if (drawn or method in IN_PLACE) and "generator" not in words and "." in name:
        found.append(f"{name}: without generator=")
    if method in TORCH_LIKE:
        found.append(f"{name}: takes no generator")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_unsafe_call(path):
    allowed = ALLOWED.get(path.relative_to(ROOT).as_posix(), set())
    assert not [fault for fault in faults(ast.parse(path.read_text())) if fault.split(": ")[1] not in allowed]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_left_to_do(path):
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b|breakpoint\(|pdb\.set_trace", path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_imported_by_name(path):
    """A module that is imported through a string is not seen by the closure, so a stage would not depend on it."""
    if path.name == "__main__.py":
        return
    assert not re.search(
        r"importlib\.(import_module|util)|from importlib import (?!metadata|resources)", path.read_text()
    )


@pytest.mark.parametrize(
    "bad",
    [
        "import pickle", "from random import choice", "from a import *", "torch.load(f)", "eval('1')", "exec(s)",
        "torch.load(f, weights_only=False)", "torch.load(f, weights_only=safe)",
        "yaml.load(f)", "yaml.load(f, Loader=yaml.Loader)", "run(c, shell=True)", "archive.extractall()",
        "shutil.unpack_archive(a)", "np.random.rand(3)", "np.random.default_rng()", "numpy.random.seed(0)",
        "torch.rand(3)", "torch.randn(3, device=d)", "x.uniform_(0, 1)", "torch.rand_like(x)", "torch.manual_seed(0)",
        "np.load(f)", "np.load(f, allow_pickle=True)", "os.system(c)",
    ],
)  # fmt: skip
def test_the_test_sees(bad):
    assert faults(ast.parse(bad))


@pytest.mark.parametrize(
    "good",
    [
        "yaml.safe_load(f)", "yaml.load(f, yaml.CSafeLoader)", "run(c, shell=False)", "generator.random(3)",
        "torch.rand(3, generator=g)", "x.uniform_(0, 1, generator=g)", "np.random.Generator(np.random.Philox(0))",
        "np.load(f, allow_pickle=False)", "model.eval()", "re.compile('a')", "random(3)", "self.normal(x)",
        "torch.load(f, weights_only=True)",
    ],
)  # fmt: skip
def test_the_test_lets_pass(good):
    assert not faults(ast.parse(good))
