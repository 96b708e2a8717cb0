"""What a stage runs, found by reading: on a small package of our own, so that every form of import is there."""

from pathlib import Path

import pytest

from pixelprune.closure import closure, digest, imported
from pixelprune.commands import deps

FILES = {
    "src/pixelprune/__init__.py": "",
    "src/pixelprune/errors.py": "",
    "src/pixelprune/cli.py": "from pixelprune.errors import Error",
    "src/pixelprune/params.py": "import pixelprune.errors",
    "src/pixelprune/lonely.py": "",
    "src/pixelprune/selecting.py": "from pixelprune.maps.catalog import Map\nfrom pixelprune.maps.map import Source",
    "src/pixelprune/maps/__init__.py": "",
    "src/pixelprune/maps/map.py": "",
    "src/pixelprune/maps/helper.py": "",
    "src/pixelprune/maps/pca.py": "from .map import Source\nfrom . import helper",
    "src/pixelprune/maps/sobel.py": "def f():\n    from pixelprune.maps import map",
    "src/pixelprune/maps/shifted.py": "from pixelprune.maps.sobel import Sobel",
    "src/pixelprune/maps/catalog.py": "\n".join(
        f"from pixelprune.maps.{name} import X" for name in ("pca", "sobel", "shifted")
    ),
    "src/pixelprune/reporting/__init__.py": "",
    "src/pixelprune/reporting/page.py": "import typing\nif typing.TYPE_CHECKING:\n    import pixelprune.lonely",
    "src/pixelprune/reporting/page.html.j2": "",
    "stages/importance.py": "from pixelprune import cli, params\nfrom pixelprune.maps.catalog import Map",
    "stages/attack.py": "from pixelprune import selecting",
    "stages/report.py": "from pixelprune.reporting import page",
    "params.yaml": "root: .\n",
    "studies/big/params.yaml": "root: ../..\n",
    "dvc.yaml": """\
# A pipeline.
stages:
  importance:
    foreach: ${maps}
    do:
      cmd: python ${root}/stages/importance.py ${key}
      deps:
        - ${root}/stages/importance.py
        - ${root}/src/pixelprune/gone.py
        - data/raw          # the images
        - ${item.reads}
      params: ['maps.${key}']   # its own entry
  attack:
    matrix: {strategy: '${strategies}', seed: '${seeds}'}
    cmd: python ${root}/stages/attack.py ${item.strategy}
    deps: ['${root}/stages/attack.py', 'models/none']
  report:
    cmd: python ${root}/stages/report.py
    deps:
      - ${root}/src/pixelprune/reporting/page.py   # twice
      - ${root}/src/pixelprune/reporting/page.py
      - results
  other:
    cmd: echo
""",
}


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path.resolve()


def names(root: Path, file: str, **options) -> set[str]:
    files = closure(root / file, source=root / "src", **options)
    return {str(path.relative_to(root)).removeprefix("src/pixelprune/") for path in files}


def test_plain_lazy_and_relative_imports_are_followed(root):
    assert names(root, "stages/importance.py") == {
        "stages/importance.py", "cli.py", "params.py", "errors.py",
        "maps/pca.py", "maps/sobel.py", "maps/shifted.py", "maps/map.py", "maps/helper.py",
    }  # fmt: skip


def test_a_catalog_is_listed_only_where_asked(root):
    assert "maps/catalog.py" in names(root, "stages/importance.py", leave_out=())


def test_what_is_not_followed_is_not_listed(root):
    catalog = root / "src/pixelprune/maps/catalog.py"
    assert names(root, "stages/attack.py", unfollowed=[catalog]) == {"stages/attack.py", "selecting.py", "maps/map.py"}


def test_imports_for_type_checkers_do_not_count(root):
    assert names(root, "stages/report.py") == {"stages/report.py", "reporting/page.py"}


def test_the_package_itself_is_found_wherever_it_lies():
    import pixelprune.params

    path = Path(pixelprune.params.__file__)
    assert {file.name for file in imported(path)} == {"errors.py", "mistakes.py"}
    assert {file.name for file in closure(path)} == {"params.py", "errors.py", "mistakes.py"}


SAME = "def f(x):\n    'says what'\n    return x + 1  # one more\n"


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("def f(x): return (x\n  + 1)\n", True),
        ("'A module.'\n" + SAME, True),
        ("def f(x):\n    'says more'\n\n\n    return x + 1\n", True),
        ("def f(x):\n    return x + 2\n", False),
        ("def f(x):\n    return x + 1.0\n", False),
        ("def f(x):\n    return x - 1\n", False),
        ("def f(x, y=1):\n    return x + 1\n", False),
        ("def f(y):\n    return y + 1\n", False),
    ],
)
def test_the_digest_is_of_what_a_file_does(tmp_path, other, same):
    path = tmp_path / "a.py"
    path.write_text(SAME)
    before = digest([path])
    path.write_text(other)
    assert (digest([path]) == before) is same


def test_the_digest_knows_names_but_no_order(tmp_path):
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("a = 1")
    two.write_text("b = 1")
    whole = digest([one, two])
    assert digest([two, one]) == whole
    one.write_text("b = 1")
    two.write_text("a = 1")
    assert digest([one, two]) != whole


def test_the_digest_is_the_same_in_every_version_of_python(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("class A:\n    pass\n\n\ndef f(*, x: int = 1) -> None:\n    return f'{x:3}'\n")
    assert digest([path]) == "e2e3bdb32bd427a420722ffa13556f29c23cd0d2d59787e8a31f985e1c311e55"


NEEDED = {
    "importance": [
        "${root}/src/pixelprune/cli.py", "${root}/src/pixelprune/errors.py",
        "${root}/src/pixelprune/maps/${item.name}.py",
        "${root}/src/pixelprune/maps/helper.py", "${root}/src/pixelprune/maps/map.py",
        "${root}/src/pixelprune/maps/sobel.py",  # a member that another one imports
        "${root}/src/pixelprune/params.py", "${root}/stages/importance.py",
    ],
    "attack": [
        "${root}/src/pixelprune/maps/map.py", "${root}/src/pixelprune/selecting.py", "${root}/stages/attack.py",
    ],
    "report": [
        "${root}/src/pixelprune/reporting/page.html.j2", "${root}/src/pixelprune/reporting/page.py",
        "${root}/stages/report.py",
    ],
    "other": [],
}  # fmt: skip


@pytest.mark.parametrize("stage", NEEDED)
def test_a_stage_needs_its_closure_and_its_own_member(root, stage):
    assert sorted(deps.needed(deps.read(root)[stage], root)) == NEEDED[stage]


def test_check_lists_what_is_wrong_and_fix_mends_it(root, monkeypatch, capsys):
    monkeypatch.chdir(root / "studies/big")
    assert deps.main([]) == 1
    out = capsys.readouterr().out.splitlines()
    assert "dvc.yaml: importance: extra ${root}/src/pixelprune/gone.py" in out
    assert "dvc.yaml: importance: missing ${root}/src/pixelprune/maps/helper.py" in out
    assert "dvc.yaml: report: twice ${root}/src/pixelprune/reporting/page.py" in out
    assert "studies/big/dvc.yaml: differs from dvc.yaml" in out
    assert out[-1] == f"{len(out) - 1} to fix: python -m pixelprune deps --fix"
    assert deps.main(["--fix"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "rewritten: dvc.yaml",
        "rewritten: studies/big/dvc.yaml",
        "dvc.yaml: the deps of 4 stages are what they import; 1 studies hold a copy",
    ]
    assert deps.main([]) == 0
    assert deps.fix(root) == []
    fixed = (root / "dvc.yaml").read_text()
    assert fixed.startswith("# A pipeline.\n")
    assert "        - data/raw          # the images\n        - ${item.reads}\n" in fixed
    assert "      params: ['maps.${key}']   # its own entry\n" in fixed
    assert [dep for dep in deps.deps(deps.read(root)["importance"]) if not deps.is_source(dep)] == [
        "data/raw",
        "${item.reads}",
    ]
    assert (root / "studies/big/dvc.yaml").read_text() == fixed


def test_outside_of_a_repository(tmp_path, monkeypatch, capsys):
    from pixelprune.__main__ import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["deps"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}: no pixelprune repository here or above (a folder with dvc.yaml and src/pixelprune).\n"
    )
