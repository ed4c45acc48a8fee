"""The plugin named `xdist`: pytest-xdist's options, hooks and fixtures."""

from __future__ import annotations

import sys
import uuid
from typing import Union

import pytest

from phalanx import limits, loop, options, stand_in
from phalanx.limits import phalanx_slot as phalanx_slot

RequestOrSession = Union[pytest.FixtureRequest, pytest.Session]


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    options.add_options(parser)
    stand_in.install()
    stand_in.list_among_plugins(pluginmanager, sys.modules[__name__])


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from xdist import newhooks

    pluginmanager.add_hookspecs(newhooks)


@pytest.hookimpl(trylast=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    return options.auto_num_workers(config)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    if hasattr(config, "workerinput"):
        return None  # a conftest file that asks for workers does so in them, too
    options.resolve(config)
    if not loop.wanted(config):
        return None
    return loop.main(config)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "xdist_group(name): tests with the same name run on the same worker with --dist=loadgroup.",
    )
    for line in limits.MARKERS:
        config.addinivalue_line("markers", line)
    if (
        config.option.collectonly
        or hasattr(config, "workerinput")
        or not options.is_distributed(config)
    ):
        return
    from phalanx import ordering
    from phalanx.session import DSession

    ordering.keeps_order(config)  # a value that is none is an error before anything starts

    config.pluginmanager.register(DSession(config), "dsession")
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if terminal:
        terminal.showfspath = False


@pytest.hookimpl
def pytest_collection_finish(session: pytest.Session) -> None:
    limits.read(session)


def is_xdist_worker(request_or_session: RequestOrSession) -> bool:
    """Return `True` if this is an xdist worker, `False` otherwise."""
    return hasattr(request_or_session.config, "workerinput")


def is_xdist_controller(request_or_session: RequestOrSession) -> bool:
    """Return `True` if this is the xdist controller, `False` otherwise, also without distribution."""
    return not is_xdist_worker(request_or_session) and request_or_session.config.option.dist != "no"


is_xdist_master = is_xdist_controller


def get_xdist_worker_id(request_or_session: RequestOrSession) -> str:
    """Return the id of the current worker ('gw0', 'gw1', …), or 'master' in the controller and without
    distribution."""
    if is_xdist_worker(request_or_session):
        worker_id: str = request_or_session.config.workerinput["workerid"]  # type: ignore[attr-defined]
        return worker_id
    return "master"


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    """Return the id of the current worker ('gw0', 'gw1', …), or 'master' without distribution."""
    return get_xdist_worker_id(request)


@pytest.fixture(scope="session")
def testrun_uid(request: pytest.FixtureRequest) -> str:
    """Return the unique id of the current test run, the same in all workers."""
    if hasattr(request.config, "workerinput"):
        uid: str = request.config.workerinput["testrunuid"]
        return uid
    return uuid.uuid4().hex
