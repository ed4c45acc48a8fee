"""The hooks of pytest-xdist, under their own names and in their own order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest


@pytest.hookspec()
def pytest_xdist_setupnodes(config: pytest.Config, specs: Sequence[Any]) -> None:
    """Called before any worker is set up; `specs[i].env` is that worker's own environment."""


@pytest.hookspec()
def pytest_xdist_newgateway(gateway: Any) -> None:
    """Called for every worker, before it is configured."""


@pytest.hookspec()
def pytest_xdist_rsyncstart(source: Any, gateways: Sequence[Any]) -> None:
    """Called before a directory is copied to another machine."""


@pytest.hookspec()
def pytest_xdist_rsyncfinish(source: Any, gateways: Sequence[Any]) -> None:
    """Called after a directory was copied to another machine."""


@pytest.hookspec(firstresult=True)
def pytest_xdist_getremotemodule() -> Any:
    """pytest-xdist's hook for the code of a worker; phalanx does not call it."""


@pytest.hookspec()
def pytest_configure_node(node: Any) -> None:
    """Called for every worker before it starts: the place to fill `node.workerinput`."""


@pytest.hookspec()
def pytest_testnodeready(node: Any) -> None:
    """Called when a worker is ready to collect."""


@pytest.hookspec()
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """Called when a worker is gone; `error` says why if it was not in good order."""


@pytest.hookspec()
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """Called in the controller for every worker, with the ids of the tests it has collected."""


@pytest.hookspec(firstresult=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return a scheduler of one's own."""


@pytest.hookspec(firstresult=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Return the number of workers for `-n auto` and `-n logical`."""


@pytest.hookspec(firstresult=True)
def pytest_handlecrashitem(crashitem: str, report: pytest.TestReport, sched: Any) -> None:
    """Called with the report of a test that crashed its worker, before it is shown: it may be changed."""
