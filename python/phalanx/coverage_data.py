"""What coverage has measured in a worker outlives it.

coverage keeps lines in memory until its process ends in good order, and a worker that dies takes them along:
also those of all the tests that it had ended before. So a worker has them written between tests. That costs
a transaction in a file of SQLite, and is done as often as it takes no more than a small part of the time:
after every test of a suite with slow ones. pytest-cov combines the files of all workers, whatever became of
them, and names those that died.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
from typing import Any

import pytest

MOST = 0.03  # of the time


def keep_files(config: pytest.Config) -> None:
    """Before pytest-cov is loaded in a zygote, or an interpreter that becomes a worker. At first it takes
    that for a run of its own, and removes the files of earlier ones: the controller has done so by then, and
    what is there now is of workers of this run that are gone."""
    if hasattr(config.known_args_namespace, "cov_append"):
        config.known_args_namespace.cov_append = True


def send_own(config: pytest.Config) -> None:
    """In a worker on another machine pytest-cov sends what was measured. It would combine with that the files
    of all workers in this directory, and remove them, though some are still measured into; and it leaves the
    paths of this machine in them. So: what this worker measured, with the paths of the one that reports."""
    controller: Any = getattr(config.pluginmanager.getplugin("_cov"), "cov_controller", None)
    coverage = getattr(controller, "cov", None)
    if coverage is None or getattr(controller, "is_collocated", None) is not False:
        return
    here, there = controller.topdir, config.workerinput["cov_master_topdir"]  # type: ignore[attr-defined]
    own = coverage.get_data

    def mapped() -> Any:
        aliases: Any = importlib.import_module("coverage.files").PathAliases()
        aliases.add(here, there)
        data: Any = type(own())(no_disk=True)
        try:
            data.update(own(), map_path=aliases.map)
        except TypeError:  # before coverage 7.6
            data.update(own(), aliases=aliases)
        with contextlib.suppress(OSError):
            os.unlink(own().data_filename())
        return data

    coverage.combine = coverage.save = lambda *args, **options: (
        None
    )  # they would ask for it as well
    coverage.get_data = mapped


class CoverageData:
    """Of this worker: of the measurement that is under way when its tests begin."""

    def __init__(self) -> None:
        coverage: Any = sys.modules.get("coverage")
        current = coverage.Coverage.current() if hasattr(coverage, "Coverage") else None
        self._collector: Any = getattr(current, "_collector", None)
        self._due = 0.0

    def put(self) -> None:
        """A test has ended."""
        if self._collector is None:
            return
        begin = time.perf_counter()
        if begin < self._due:
            return
        with contextlib.suppress(Exception):  # the report of coverage is not worth a test's result
            self._collector.flush_data()
        end = time.perf_counter()
        self._due = end + (end - begin) / MOST
