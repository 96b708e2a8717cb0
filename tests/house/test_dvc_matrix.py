"""What dvc.yaml relies on and dvc does not document: a matrix over a mapping runs over its keys."""

import json
import subprocess
import sys

import pytest

PIPELINE = """
stages:
  train:
    matrix: {strategy: '${strategies}', seed: '${seeds}'}
    cmd: echo ${item.strategy} ${item.seed}
    params: ['strategies.${item.strategy}']
    outs: ['models/${item.strategy}/${item.seed}']
  map:
    foreach: ${strategies}
    do:
      cmd: echo ${key} ${item.keep}
"""
PARAMS = "strategies: {none: {keep: 1, fill: {name: black}}, half: {keep: 0.5}}\nseeds: [0, 7]\n"


@pytest.fixture(scope="module")
def unfolded(tmp_path_factory):
    """The stages as dvc reads them: name -> definition."""
    folder = tmp_path_factory.mktemp("matrix")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text(PARAMS)
    program = (
        "import json; from dvc.repo import Repo; "
        "from dvc.dvcfile import load_file; "
        "print(json.dumps({stage.addressing: [stage.cmd, [out.def_path for out in stage.outs],"
        " [sorted(dep.params) for dep in stage.deps if hasattr(dep, 'params')]] for stage in Repo('.').index.stages}))"
    )
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=folder, check=True)
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_a_matrix_over_a_mapping_runs_over_its_keys(unfolded):
    names = {name for name in unfolded if name.startswith("train@")}
    assert names == {f"train@{strategy}-{seed}" for strategy in ("none", "half") for seed in (0, 7)}


def test_the_item_of_a_matrix_is_the_key(unfolded):
    assert unfolded["train@half-7"] == ["echo half 7", ["models/half/7"], [["strategies.half"]]]


def test_foreach_over_a_mapping_gives_key_and_value(unfolded):
    assert unfolded["map@half"][0] == "echo half 0.5"
