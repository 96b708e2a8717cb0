"""Check that every stage lists the sources that it runs: deps [--fix]

Sources are the files of src/ and stages/ among the deps of dvc.yaml; what else stands there is left alone. A folder
stands for its files where a stage runs all of them: DVC reads and writes the whole dvc.lock after every stage.
--fix rewrites them, keeps comments and order, copies dvc.yaml into every study, and makes the folders it depends on.
Exit status 1 where something is missing or too much.
"""

import argparse
import bisect
import io
import re
from pathlib import Path
from typing import Any

import yaml

from pixelprune import artifacts
from pixelprune.closure import closure, imported
from pixelprune.errors import PixelpruneError

ROOT = "${root}/"
PACKAGE = "src/pixelprune"

OWN_MEMBER = {
    "download": ("datasets", "${dataset.name}.py"),
    "segment": ("segmenters", "${item.name}.py"),
    "importance": ("maps", "${item.name}.py"),
}
"""Stages that run one member of a family: they depend on its file alone, and on what any member imports."""

CARRIER, CARRIED = "selecting.py", ("maps", "segmenters")
"""A stage that recomputes maps knows their code by the digest in its selector, so it lists no member of theirs."""

MAKES = {"measure": ("maps",)}
"""Families of which a stage makes members that no selector knows: it depends on all of them."""

NAMES = ("__init__", "catalog")
"""Stems of files without code of their own: empty, or the names of a family's members."""

FOLDERS = ("results_defended", "measures")
"""What the report depends on even where a study has nothing to put there: DVC wants the folders to exist."""

PLACES = ("studies", "benchmarks")
"""Where studies lie; those of the benchmarks only train what is attacked there."""

BESIDE = {"report": ("reporting/*.j2", "reporting/*.css")}
"""Files of the package that a stage reads and that are no Python."""


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m pixelprune deps", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--fix", action="store_true", help="rewrite dvc.yaml and its copies in the studies")
    options = parser.parse_args(words)
    root = project(Path.cwd())
    if options.fix:
        for path in fix(root):
            print(f"rewritten: {path.relative_to(root)}")
    mistakes = check(root)
    for mistake in mistakes:
        print(mistake)
    if mistakes:
        print(f"{len(mistakes)} to fix: python -m pixelprune deps --fix")
        return 1
    print(
        f"dvc.yaml: the deps of {len(read(root))} stages are what they import; {len(studies(root))} studies hold a copy"
    )
    return 0


def project(start: Path) -> Path:
    """The folder of the repository that `start` lies in. Raises PixelpruneError outside of one."""
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / PACKAGE).is_dir() and (folder / "dvc.yaml").is_file():
            return folder
    raise PixelpruneError(f"{start}: no pixelprune repository here or above (a folder with dvc.yaml and {PACKAGE}).")


def read(root: Path) -> dict[str, Any]:
    """The stages of dvc.yaml, by name."""
    try:
        stages: dict[str, Any] = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise PixelpruneError(f"dvc.yaml: not a file of stages ({' '.join(str(error).split())}).") from None
    return stages


def studies(root: Path) -> list[Path]:
    """The dvc.yaml of every study beside the main one; it need not be there yet."""
    return [path.with_name("dvc.yaml") for place in PLACES for path in sorted(root.glob(f"{place}/*/params.yaml"))]


def check(root: Path) -> list[str]:
    """What is missing and what is too much, one line each."""
    mistakes = []
    for name, stage in read(root).items():
        script = _script(stage)
        if script and not (root / script).is_file():
            mistakes.append(f"dvc.yaml: {name}: no file {script}")
            continue
        wanted, listed = needed(stage, root), [dep for dep in deps(stage) if is_source(dep)]
        mistakes += [f"dvc.yaml: {name}: missing {dep}" for dep in sorted(wanted - set(listed))]
        mistakes += [f"dvc.yaml: {name}: extra {dep}" for dep in sorted(set(listed) - wanted)]
        mistakes += [f"dvc.yaml: {name}: twice {dep}" for dep in sorted(set(listed)) if listed.count(dep) > 1]
    main_bytes = (root / "dvc.yaml").read_bytes()
    copies = (path for path in studies(root) if not path.is_file() or path.read_bytes() != main_bytes)
    mistakes += [f"{path.relative_to(root)}: differs from dvc.yaml" for path in copies]
    return mistakes + [f"{path.relative_to(root)}: missing" for path in _placeholders(root) if not path.is_file()]


def _placeholders(root: Path) -> list[Path]:
    """What git keeps of the folders that stages depend on and that may be empty."""
    named = {dep for stage in read(root).values() for dep in deps(stage)}
    places = [root, *(path.parent for path in studies(root))]
    return [place / folder / ".gitkeep" for place in places for folder in FOLDERS if folder in named]


def deps(stage: dict[str, Any]) -> list[str]:
    """The deps of a plain stage, of a matrix, or of the `do` of a foreach."""
    found: list[str] = stage.get("do", stage).get("deps", [])
    return found


def is_source(dep: str) -> bool:
    return dep.removeprefix(ROOT).startswith(("src/", "stages/"))


def needed(stage: dict[str, Any], root: Path) -> set[str]:
    """The source deps of a stage, as dvc.yaml writes them. Nothing for a stage that runs no script of ours."""
    script = _script(stage)
    if not script:
        return set()
    path, package = root / script, root / PACKAGE
    family, member = OWN_MEMBER.get(path.stem, (None, ""))
    catalogs = [package / name / "catalog.py" for name in (family, *_carried(path, package)) if name]
    files = closure(path, unfollowed=catalogs, source=root / "src")
    if family:
        for file in members(package / family):
            files |= closure(file, unfollowed=catalogs, source=root / "src") - {file}
    for pattern in BESIDE.get(path.stem, ()):
        files |= set(package.glob(pattern))
    names = {f"{ROOT}{path.relative_to(root).as_posix()}" for path in _folded(files)}
    return names | ({f"{ROOT}{PACKAGE}/{family}/{member}"} if family else set())


def _folded(files: set[Path]) -> set[Path]:
    """Folders of which all files are there, in place of these; what names the others (NAMES) need not be."""
    whole = {
        folder
        for folder in {file.parent for file in files}
        if len(own := {file for file in folder.glob("*.py") if file.stem not in NAMES}) > 1 and own <= files
    }
    return whole | {file for file in files if file.parent not in whole}


def members(family: Path) -> set[Path]:
    """The files that the catalog of a family names."""
    catalog = family / "catalog.py"
    return (
        {file for file in imported(catalog, family.parents[1]) if file.parent == family} if catalog.exists() else set()
    )


def fix(root: Path) -> list[Path]:
    """Rewrites dvc.yaml and its copies where they differ; returns the files that changed."""
    from ruamel.yaml import YAML

    text = YAML()
    text.preserve_quotes, text.width = True, 10_000
    text.indent(mapping=2, sequence=4, offset=2)
    path = root / "dvc.yaml"
    document = text.load(path.read_text(encoding="utf-8"))
    changed = False
    for stage in document["stages"].values():
        script = _script(stage)
        if script and (root / script).is_file():
            changed |= _rewrite(stage.get("do", stage), needed(stage, root))
    written = []
    if changed:
        buffer = io.StringIO()
        text.dump(document, buffer)
        artifacts.save_text(path, buffer.getvalue())
        written.append(path)
    for copy in studies(root):
        if not copy.is_file() or copy.read_bytes() != path.read_bytes():
            artifacts.save_text(copy, path.read_text(encoding="utf-8"))
            written.append(copy)
    for path in _placeholders(root):
        if not path.is_file():
            artifacts.save_text(path, "")
            written.append(path)
    return written


def _rewrite(stage: Any, wanted: set[str]) -> bool:
    """Deletes and inserts single entries of the list, so that the comments at the others stay. True where it did."""
    listed = stage.setdefault("deps", []) if wanted else stage.get("deps", [])
    changed = False
    for position in range(len(listed) - 1, -1, -1):
        dep = listed[position]
        if is_source(dep) and (dep not in wanted or dep in listed[:position]):
            del listed[position]
            changed = True
    seen = {dep for dep in listed if is_source(dep)}
    for dep in sorted(wanted - seen):
        # Behind the last smaller one of the sources, which stay in one block; at the end where there is none yet.
        places = [position for position, other in enumerate(listed) if is_source(other)]
        place = bisect.bisect([listed[position] for position in places], dep)
        listed.insert((places[place] if place < len(places) else places[-1] + 1) if places else len(listed), dep)
        changed = True
    return changed


def _script(stage: dict[str, Any]) -> str | None:
    """stages/NAME.py as the command of a stage names it."""
    found = re.search(r"stages/\w+\.py", str(stage.get("do", stage).get("cmd", "")))
    return found[0] if found else None


def _carried(path: Path, package: Path) -> tuple[str, ...]:
    if package / CARRIER not in closure(path, source=package.parent):
        return ()
    return tuple(family for family in CARRIED if family not in MAKES.get(path.stem, ()))
