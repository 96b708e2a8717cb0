"""The tiny study, finished once a session; tests change copies of it."""

from pathlib import Path

import pytest
import tiny_study


@pytest.fixture(scope="session")
def said() -> dict[tuple[str, ...], tuple[int, str, str]]:
    """What each stage of the finished study said; filled by the fixture `finished`."""
    return {}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, said: dict[tuple[str, ...], tuple[int, str, str]]) -> Path:
    """The folder of the finished study. Read only: a test that changes anything takes the fixture `study`."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "params.yaml").write_text(tiny_study.PARAMS, encoding="utf-8")
    for stage in tiny_study.STAGES:
        said[stage] = tiny_study.within(folder, *stage)
        assert said[stage][0] == 0, (stage, said[stage])
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study's folder."""
    return tiny_study.copied(finished, tmp_path / "study")
