"""Tests run side by side, a process a core (`make test`): threads of their own would only wait for each other."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is loaded, here and in the stages that tests start
