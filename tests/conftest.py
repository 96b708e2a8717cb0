"""Tests run side by side, a process a core (`make test`): threads of their own would only wait for each other."""

import os
import signal

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

TOGETHER = ("tests/end_to_end/", "tests/stages/")
"""Folders whose files share what takes minutes to make: one process runs each of them, from the beginning on."""

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is loaded, here and in the stages that tests start


# Background jobs of a shell ignore interrupts, those of nohup hangups, and so do their children, also in a test.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class ByFolder(LoadScopeScheduling):
    """A process gets a file at a time, or a folder. (xdist's own `loadgroup` groups nothing under pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFolder:
    return ByFolder(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(TOGETHER))
