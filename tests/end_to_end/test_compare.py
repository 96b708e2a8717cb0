"""`compare` on a real git and DVC history, with a stage that writes results as small as they can be."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pixelprune.__main__ import main

PYTHON = sys.executable

STAGE = """
import json, sys
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.parquet as pq, yaml
strategy, training, seed = sys.argv[1:]
params = yaml.safe_load(Path("params.yaml").read_text())
own, n, eps = params["strategies"][strategy], params["images"], params["eps"]
image = np.arange(n)
label = image % 4
def stands(k): return np.where(image < k, label, label + 1)
def table(values, types):
    columns = {name: np.broadcast_to(value, n) for name, value in values.items()}
    return pa.table({name: pa.array(column, types[name]) for name, column in columns.items()})
short, real, count = pa.int16(), pa.float32(), pa.int32()
types = dict(image=pa.int64(), label=short, group=pa.int64(), access=pa.string(), threat=pa.string(), norm=pa.string(),
             eps=pa.float64(), attack=pa.string(), clean_pred=short, clean_margin=real, adv_pred=short, adv_margin=real,
             linf=real, l2=real, changed_outside=count, forward=count, backward=count, pred=short)
rows = pa.concat_tables([table({
    "image": image, "label": label, "group": image, "access": "full" if strategy == "none" else "kept",
    "threat": "linf", "norm": "linf", "eps": radius, "attack": "pgd",
    "clean_pred": stands(own["clean"]), "clean_margin": 0.0, "adv_pred": stands(own["robust"]), "adv_margin": 0.0,
    "linf": 0.0, "l2": 0.0, "changed_outside": 0, "forward": 1, "backward": 1,
}, types) for radius in eps])
folder = Path("results", strategy, training, seed)
folder.mkdir(parents=True, exist_ok=True)
pq.write_table(rows, folder / "rows.parquet")
clean = {"image": image, "label": label, "group": image, "pred": stands(own["clean"])}
pq.write_table(table(clean, types), folder / "clean.parquet")
(folder / "checks.json").write_text(json.dumps([{"id": "E1", "severity": "F", "verdict": own.get("check", "pass")}]))
"""

PIPELINE = """
stages:
  attack:
    matrix: {strategy: '${strategies}', training: [natural], seed: [0]}
    cmd: python attack.py ${item.strategy} ${item.training} ${item.seed}
    deps: [attack.py]
    params: ['strategies.${item.strategy}', images, eps]
    outs: ['results/${item.strategy}/${item.training}/${item.seed}']
"""

PARAMS = """
images: 200
eps: [0.01568627450980392, 0.03137254901960784]
threats: {linf: {norm: linf, eps: [4/255, 8/255], headline: 8/255}}
strategies:
  none: {clean: 190, robust: 60}
  foreground: {clean: 180, robust: 90}
  random: {clean: 150, robust: 50}
"""


class History:
    """A study in a subfolder of a repository; a tag a commit."""

    def __init__(self, root: Path):
        self.root, self.study = root, root / "studies" / "tiny"
        self.study.mkdir(parents=True)
        (self.study / "attack.py").write_text(STAGE)
        (self.study / "dvc.yaml").write_text(PIPELINE)
        (root / ".gitignore").write_text("/studies/*/results/\n")
        self.run("git", "init", "-q", "-b", "main")
        self.run(PYTHON, "-m", "dvc", "init", "-q")

    def run(self, *words, cwd=None):
        done = subprocess.run(words, cwd=cwd or self.root, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def environment(self):
        folders = [str(Path(PYTHON).parent), os.environ["PATH"]]
        person = {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        quiet = {"DVC_NO_ANALYTICS": "1", "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(self.root.parent), "COLUMNS": "160"}
        return {**os.environ, **person, **quiet, "PATH": os.pathsep.join(folders), "OMP_NUM_THREADS": "1"}

    def reproduced(self, params, target="dvc.yaml"):
        (self.study / "params.yaml").write_text(params)
        self.run(PYTHON, "-m", "dvc", "repro", "-q", target, cwd=self.study)

    def commit(self, tag, params):
        self.reproduced(params)
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "--allow-empty", "-m", tag)
        self.run("git", "tag", tag)

    def compare(self, *words, cwd=None):
        command = [PYTHON, "-m", "pixelprune", "compare", *words]
        return subprocess.run(command, cwd=cwd or self.study, env=self.environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    made = History(tmp_path_factory.mktemp("compare") / "repository")
    made.commit("base", PARAMS)
    gain = PARAMS.replace("robust: 90", "robust: 120")
    made.commit("keep", gain)
    source = made.study / "attack.py"
    source.write_text(source.read_text() + "# a comment: every stage runs again and writes the same bytes\n")
    made.commit("comment", gain + "# and one here\n")
    made.commit("drop", gain.replace("clean: 150, robust: 50", "clean: 149, robust: 20"))
    # The workspace: what nobody has committed yet.
    made.reproduced(gain.replace("  random: {clean: 150, robust: 50}", "  edges: {clean: 150, robust: 50}"))
    yield made
    shutil.rmtree(made.root)


def test_exactly_the_changed_run_is_marked_with_its_interval(history):
    done = history.compare("base", "keep", "--markdown")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("| ") and "/natural/0" in line]
    assert lines[0].startswith("| foreground/natural/0 | clean | 200 | 90.0 % [85.0, 93.8] | 90.0 % [85.0, 93.8] |")
    assert "| 0.0 pt [0.0, 0.0] | 1.0000 | 1.0000 |  |" in lines[0]
    assert lines[1].startswith(
        "| foreground/natural/0 | linf 8/255 | 200 | 45.0 % [38.0, 52.2] | 60.0 % [52.9, 66.8] | +15.0 pt [+10."
    )
    assert lines[1].endswith("| < 0.0001 | < 0.0001 | gain |")
    assert len(lines) == 2
    assert "byte for byte): none/natural/0, random/natural/0." in done.stdout
    assert "Holm over 2 tests" in done.stdout


@pytest.fixture
def compare(history, monkeypatch, capsys):
    """The command inside this process, which is faster: exit status and what it printed."""
    monkeypatch.chdir(history.study)

    def run(*words):
        try:
            status = main(["compare", *words])
        except SystemExit as end:
            status = end.code
        return subprocess.CompletedProcess(words, status, *capsys.readouterr())

    return run


def test_the_terminal_shows_the_same(compare):
    done = compare("base", "keep")
    assert "foreground/natural/0" in done.stdout
    assert "+15.0 pt [+10." in done.stdout
    assert "gain" in done.stdout


def test_a_comment_changes_no_run(compare):
    done = compare("keep", "comment", "--gate")
    assert done.returncode == 0
    assert "No run that both revisions have changed." in done.stdout
    assert "byte for byte): foreground/natural/0, none/natural/0, random/natural/0." in done.stdout


def test_the_gate_stops_a_drop_and_only_a_drop(compare):
    assert compare("base", "comment", "--gate").returncode == 0
    done = compare("comment", "drop", "--gate", "--markdown")
    assert done.returncode == 1
    marked = [line for line in done.stdout.splitlines() if line.endswith("| drop |")]
    assert len(marked) == 1  # one clean error more is within chance
    assert marked[0].startswith("| random/natural/0 | linf 8/255 |")
    assert compare("comment", "drop").returncode == 0
    assert compare("drop", "comment", "--gate").returncode == 0


def test_a_run_of_one_revision_is_listed_and_the_workspace_is_the_default(history):
    done = history.compare("comment", "--study", "studies/tiny", cwd=history.root)
    assert done.returncode == 0, done.stderr
    assert "-> workspace" in done.stdout
    assert "Only before: random/natural/0." in done.stdout
    assert "Only after: edges/natural/0." in done.stdout


def refused(compare, *words):
    done = compare(*words)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def test_an_unknown_revision_is_named(compare):
    assert refused(compare, "no_such_tag") == "error: no_such_tag: unknown Git revision 'no_such_tag'.\n"


def test_a_folder_without_a_study_is_named(compare):
    message = refused(compare, "base", "--study", "../..")
    assert "dvc.yaml does not exist there" in message


def test_an_access_that_was_not_measured_does_not_pass_the_gate(compare):
    message = refused(compare, "comment", "drop", "--gate", "--access", "adaptive")
    assert message.endswith(": random/natural/0 was not attacked under access adaptive; it has kept.\n")


def test_an_access_that_does_not_exist_does_not_pass_where_nothing_changed(compare):
    assert "--access: invalid choice: 'kep' (choose from" in refused(compare, "base", "base", "--access", "kep")


@pytest.fixture
def branch(history):
    """Commits that leave the module's history as it was."""
    before = (history.study / "params.yaml").read_text()
    lock = (history.study / "dvc.lock").read_text()
    yield history
    (history.study / "params.yaml").write_text(before)
    (history.study / "dvc.lock").write_text(lock)


ONE = "attack@foreground-natural-0"


def test_other_images_are_refused(branch, compare):
    branch.reproduced(PARAMS.replace("images: 200", "images: 199"), ONE)
    message = refused(compare, "base")
    assert "and workspace: foreground/natural/0: other images (200 before, 199 after, 199 of them the same)" in message


def test_other_threats_are_refused(branch, compare):
    branch.reproduced(PARAMS.replace("eps: [0.01568627450980392, ", "eps: [0.00784313725490196, "), ONE)
    message = refused(compare, "base")
    assert "other threats (only before: kept linf linf 4/255 pgd; only after: kept linf linf 2/255 pgd)" in message


def test_another_headline_is_refused(branch, compare):
    changed = PARAMS.replace("headline: 8/255", "headline: 4/255").replace("robust: 90", "robust: 91")
    branch.reproduced(changed, ONE)
    assert "threats.linf.headline differs" in refused(compare, "base")


def test_results_outside_the_cache_are_refused_with_the_command_that_fetches_them(history, compare):
    cache = history.root / ".dvc" / "cache"
    cache.rename(cache.with_name("away"))
    try:
        message = refused(compare, "base", "keep")
        assert "results/foreground/natural/0/clean.parquet is not in DVC's cache" in message
        assert "dvc fetch --all-commits" in message
        assert compare("keep", "comment").returncode == 0  # equal hashes need no files
    finally:
        cache.with_name("away").rename(cache)


@pytest.mark.parametrize("words", [[], ["base", "--alpha", "2"], ["base", "--no-such-option"]])
def test_impossible_words_are_refused(compare, words):
    assert "usage: python -m pixelprune compare" in refused(compare, *words)
