"""A study's results as a git revision, or the workspace, records them: through DVC, by hash.

The adapter for DVC's Python interface. Files are read from the cache by the hash in dvc.lock, never from the folder, so
that a table belongs to the revision whatever was written beside it since.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import yaml
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.repo.index import Index

from pixelprune.errors import ArtifactError, ParamsError, PixelpruneError

WORKSPACE = "workspace"
FETCH = "Run `dvc pull`, or `dvc fetch --all-commits` for older revisions."


@dataclass(frozen=True)
class Revision:
    name: str
    """As the user wrote it, with the commit: "HEAD~1 (1a2b3c4)"."""
    params: dict[str, Any]
    results: dict[str, str]
    """Run "P/T/s" -> hash of its results folder."""
    folders: dict[str, str]
    """Of the outputs that all runs share, `data/raw` and `transfer`, those that the revision records -> hash."""
    cache: Path

    def table(self, run: str, file: str) -> pd.DataFrame:
        """A parquet file of a run. Raises ArtifactError where the cache lacks it."""
        where, content = self._file(f"results/{run}", self.results[run], file)
        try:
            return pd.read_parquet(BytesIO(content))
        except (ValueError, OSError) as error:
            raise ArtifactError(f"{where}: not a whole parquet file ({error}).") from None

    def fatal(self, run: str) -> list[str]:
        """Ids of the checks whose failure makes the run invalid. Raises ArtifactError where the cache lacks them."""
        where, content = self._file(f"results/{run}", self.results[run], "checks.json")
        return _fatal(where, lambda: json.loads(content)) + self.fatal_transfer(run)

    def fatal_transfer(self, run: str) -> list[str]:
        """The same of the check that the transfer stage adds."""
        if "transfer" not in self.folders:
            return []
        where, content = self._file("transfer", self.folders["transfer"], "checks.json")
        return _fatal(where, lambda: [json.loads(content)[run]])

    @property
    def test_images(self) -> str | None:
        """The hash of the pictures that all runs were tested on; None where the revision does not record them."""
        if "data/raw" not in self.folders:
            return None
        return self._hashes(self.folders["data/raw"], f"{self.name}: data/raw").get("test/images.npy")

    def _file(self, folder: str, digest: str, file: str) -> tuple[str, bytes]:
        """What messages call it, and what it holds."""
        where = f"{self.name}: {folder}/{file}"
        hashes = self._hashes(digest, where)
        if file not in hashes:
            raise ArtifactError(f"{where}: the folder of this revision has no such file.")
        return where, self._object(hashes[file], where)

    def _hashes(self, digest: str, where: str) -> dict[str, str]:
        """Of every file of a folder."""
        return {entry["relpath"]: entry["md5"] for entry in json.loads(self._object(digest, where))}

    def _object(self, digest: str, where: str) -> bytes:
        try:
            return (self.cache / digest[:2] / digest[2:]).read_bytes()
        except FileNotFoundError:
            raise ArtifactError(f"{where} is not in DVC's cache. {FETCH}") from None


def _fatal(where: str, checks: Callable[[], Any]) -> list[str]:
    try:
        failed = [check for check in checks() if check["verdict"] == "fail"]
        return [str(check["id"]) for check in failed if check["severity"] == "F"]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{where}: not a list of checks ({error}). Run `dvc repro` there again.") from None


def load(study: Path, rev: str) -> Revision:
    """The study in `study` at a git revision, or at "workspace". Raises PixelpruneError that says what is missing."""
    try:
        root = Path(Repo.find_root(str(study)))
        with Repo(str(root), rev=None if rev == WORKSPACE else rev) as repo:
            return _read(repo, study.resolve().relative_to(root.resolve()).as_posix(), rev)
    except DvcException as error:
        raise PixelpruneError(f"{rev}: {str(error).strip().rstrip('.')}.") from None


def _read(repo: Any, study: str, rev: str) -> Revision:
    name = rev if rev == WORKSPACE else f"{rev} ({repo.get_rev()[:7]})"
    folder = repo.fs.join(repo.root_dir, *PurePosixPath(study).parts)
    pipeline = repo.fs.join(folder, "dvc.yaml")
    if not repo.fs.exists(pipeline):
        raise PixelpruneError(f"{name}: {PurePosixPath(study, 'dvc.yaml')} does not exist there: no study to compare.")
    params = _params(repo, repo.fs.join(folder, "params.yaml"), f"{name}: {PurePosixPath(study, 'params.yaml')}")
    results, folders = {}, {}
    for out in Index.from_file(repo, pipeline).outs:
        parts = repo.fs.relparts(out.fs_path, folder)
        if not (out.hash_info and out.hash_info.value):
            continue
        if len(parts) == 4 and parts[0] == "results":
            results["/".join(parts[1:])] = out.hash_info.value
        elif "/".join(parts) in ("data/raw", "transfer"):
            folders["/".join(parts)] = out.hash_info.value
    if not results:
        raise ArtifactError(f"{name}: dvc.lock records no results. Run `dvc repro` there and commit dvc.lock.")
    return Revision(name, params, results, folders, Path(repo.cache.local.path))


def _params(repo: Any, path: str, where: str) -> dict[str, Any]:
    try:
        with repo.fs.open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except FileNotFoundError:
        raise ParamsError(f"{where} does not exist there: no study to compare.") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ParamsError(f"{where}: not readable as YAML. Mend it.\n  {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        found = "nothing" if content is None else type(content).__name__
        raise ParamsError(f"{where}: found {found}, expected a mapping of sections")
    return content
