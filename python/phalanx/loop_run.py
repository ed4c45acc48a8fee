"""One run of --looponfail: an interpreter that has imported pytest before it is known what to run."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import NoReturn

import pytest

# This process runs tests although its arguments, or an ini file, say --looponfail.
is_run = False

# What to collect instead of what the arguments say; a distributed run sends it to its zygote.
targets_key = pytest.StashKey["list[str]"]()


def main(orders: int) -> NoReturn:
    """Waits for its orders from this descriptor; if they end before they came, nobody wants them run. SIGINT
    is ignored until then."""
    global is_run
    is_run = True
    from phalanx import zygote

    zygote.preload()
    with open(orders, encoding="utf-8", errors="surrogateescape") as file:
        text = file.read()
    if not text:
        os._exit(0)
    order = json.loads(text)
    if order["heeds_interrupts"]:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = order["argv"]
    sys.exit(pytest.main(order["args"], plugins=[Failures(order["only"], order["told"])]))


class Failures:
    """Runs only these tests, and tells what failed."""

    def __init__(self, only: list[str], told: str) -> None:
        self._only = only
        self._told = told
        self._failed: dict[str, None] = {}

    def pytest_configure(self, config: pytest.Config) -> None:
        if self._only:
            config.args = config.stash[targets_key] = _targets(config, self._only)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed[report.nodeid] = None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._failed[report.nodeid] = None

    def pytest_unconfigure(self) -> None:
        with open(self._told, "w", encoding="utf-8") as file:
            json.dump(list(self._failed), file)


def _targets(config: pytest.Config, nodeids: list[str]) -> list[str]:
    """Paths to collect for these tests, of files that are still there. With none of them left the run is told
    about one that is not, ends with a usage error, and everything runs."""
    paths = [os.path.join(config.rootpath, nodeid) for nodeid in nodeids]
    return [path for path in paths if os.path.exists(path.split("::")[0])] or paths[:1]
