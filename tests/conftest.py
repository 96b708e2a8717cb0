"""Tests run side by side, a process a core (`make test`): threads of their own would only wait for each other."""

import os
from pathlib import Path

import pytest

TOGETHER = ("end_to_end", "stages")
"""Folders whose files share what takes minutes to make: one process runs each of them, from the beginning on."""

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is loaded, here and in the stages that tests start


def _group(item: pytest.Item) -> str:
    path = item.path.relative_to(Path(__file__).parent)
    return path.parts[0] if path.parts[0] in TOGETHER else path.as_posix()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _group(item) not in TOGETHER)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
