"""A pytest plugin of the runs under test: no test goes on before so many workers have begun one. For what is
asserted of every worker: a machine may be so busy that one of them does all there is before another begins."""

from __future__ import annotations

import os
import time

import pytest

PATIENCE_S = 150


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    if not hasattr(item.config, "workerinput"):
        return
    place, number = os.environ["PHALANX_E2E_TOGETHER"].rsplit(":", 1)
    with open(os.path.join(place, str(os.getpid())), "w"):
        pass
    deadline = time.monotonic() + PATIENCE_S
    while len(os.listdir(place)) < int(number):
        assert time.monotonic() < deadline, f"only {len(os.listdir(place))} workers began a test"
        time.sleep(0.005)
